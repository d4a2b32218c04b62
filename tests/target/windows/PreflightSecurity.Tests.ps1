# SPDX-License-Identifier: GPL-3.0-or-later

BeforeAll {
    $utils = Join-Path -Path $PSScriptRoot -ChildPath '../../../plugins/module_utils'
    foreach ($name in @('core', 'registry', 'files', 'services', 'cim', 'preflight_security', 'preflight_defender')) {
        Import-Module -Name (Join-Path -Path $utils -ChildPath "_observe_$name.psm1") -Force -Global
    }
    . (Join-Path -Path $PSScriptRoot -ChildPath 'FakeRegistry.ps1')
    Mock -CommandName Open-ObserveBaseKey -ModuleName _observe_registry -MockWith { Open-FakeBaseKey -Hive $Hive -View $View }
    foreach ($module in @('_observe_preflight_security', '_observe_preflight_defender')) {
        Mock -CommandName Get-ObserveServiceState -ModuleName $module -MockWith { $global:States }
        # Class -> instances; a class that is not in it does not answer.
        Mock -CommandName Get-ObserveCim -ModuleName $module -MockWith {
            if ($global:Cim.ContainsKey($ClassName)) {
                return @{ reason = ''; items = [System.Collections.ArrayList]@($global:Cim[$ClassName]) }
            }
            @{ reason = "$ClassName does not answer"; items = [System.Collections.ArrayList]@() }
        }
    }
    foreach ($module in @('_observe_preflight_security', '_observe_preflight_defender', '_observe_files')) {
        Mock -CommandName Get-ObserveFileType -ModuleName $module -MockWith {
            $clean = $Path.TrimEnd('\')
            if ($global:Paths -contains "$clean\") { 'dir' } elseif ($global:Paths -contains $clean) { 'file' } else { 'none' }
        }
        Mock -CommandName Get-ObserveEntry -ModuleName $module -MockWith {
            if ($global:Paths -notcontains "$Parent\") { throw (New-Object -TypeName System.IO.DirectoryNotFoundException) }
            foreach ($one in $global:Paths) {
                $one = $one.TrimEnd('\')
                if ($one -like "$Parent\*" -and $one.Substring($Parent.Length + 1) -like $Pattern) { $one }
            }
        }
    }
    $services = 'SYSTEM\CurrentControlSet\Services'
    $control = 'SYSTEM\CurrentControlSet\Control'
    $locker = 'SOFTWARE\Policies\Microsoft\Windows\SrpV2'
    $safer = 'SOFTWARE\Policies\Microsoft\Windows\Safer\CodeIdentifiers'
    $defender = 'SOFTWARE\Microsoft\Windows Defender'
    $policy = 'SOFTWARE\Policies\Microsoft\Windows Defender'
    $folder = @{ systemroot = 'C:\Windows'; systemdrive = 'C:'; programdata = 'C:\ProgramData'; programfiles = 'C:\Program Files' }
    $quiet = @{ Win32_DeviceGuard = @(@{ CodeIntegrityPolicyEnforcementStatus = 0; UsermodeCodeIntegrityPolicyEnforcementStatus = 0 }) }

    Function Invoke-Security {
        param ([scriptblock]$Ask, [hashtable]$Registry = @{}, [hashtable]$State = @{}, [hashtable]$Cim = $quiet, [string[]]$Path = @())
        Initialize-FakeRegistry -Machine64 $Registry
        $global:States = $State
        $global:Cim = $Cim
        $global:Paths = $Path
        Invoke-ObserveProbe -Timeout 60 -Script $Ask
        Get-FakeOpenKey | Should -Be 0 -Because 'every key that was opened must be disposed'
    }
    # A security descriptor with a list of entries: type (0 allow, 1 deny), rights, the SID's numbers.
    Function New-Descriptor {
        param ([object[]]$Entry)
        $aces = New-Object -TypeName System.Collections.Generic.List[byte]
        foreach ($one in $Entry) {
            $sid = New-Object -TypeName System.Collections.Generic.List[byte]
            $sid.AddRange([byte[]]@(1, ($one.sid.Count - 1), 0, 0, 0, 0, 0, $one.sid[0]))
            foreach ($number in @($one.sid | Select-Object -Skip 1)) { $sid.AddRange([System.BitConverter]::GetBytes([uint32]$number)) }
            $aces.AddRange([byte[]]@($one.type, 0))
            $aces.AddRange([System.BitConverter]::GetBytes([uint16](8 + $sid.Count)))
            $aces.AddRange([System.BitConverter]::GetBytes([uint32]$one.mask))
            $aces.AddRange($sid)
        }
        $all = New-Object -TypeName System.Collections.Generic.List[byte]
        $all.AddRange([byte[]]@(1, 0, 4, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 2, 0))
        $all.AddRange([System.BitConverter]::GetBytes([uint16](8 + $aces.Count)))
        $all.AddRange([System.BitConverter]::GetBytes([uint16]$Entry.Count))
        $all.AddRange([byte[]]@(0, 0))
        $all.AddRange($aces)
        , $all.ToArray()
    }
    $administrators = @(5, 32, 544)
    $system = @(5, 18)
    $everybody = @(1, 0)
}

AfterAll {
    Remove-Variable -Name States, Cim, Paths -Scope Global
}

Describe 'enforcement' {
    BeforeAll {
        $ask = { param ($probe) Read-ObserveEnforcement -Probe $probe -Folder $folder }
        Function Get-Shown {
            param ([object]$Answer)
            @($Answer.records | ForEach-Object { '{0} {1}' -f $_.kind, $_.state })
        }
    }

    It 'tells what Application Control does to programs: <state>' -ForEach @(
        @{ number = 0; state = 'inactive' }
        @{ number = 1; state = 'permissive' }
        @{ number = 2; state = 'enforcing' }
        @{ number = 7; state = 'unknown' }
    ) {
        $cim = @{ Win32_DeviceGuard = @(@{ CodeIntegrityPolicyEnforcementStatus = [uint32]2; UsermodeCodeIntegrityPolicyEnforcementStatus = [uint32]$number }) }
        $answer = Invoke-Security -Ask $ask -Cim $cim
        Get-Shown -Answer $answer | Should -Be @("wdac $state")
        $answer.status | Should -Be 'ok'
    }

    It 'does not know without the provider, and tells policies on the disk' {
        $answer = Invoke-Security -Ask $ask -Cim @{} -Path @('C:\Windows\System32\CodeIntegrity\SIPolicy.p7b')
        Get-Shown -Answer $answer | Should -Be @('wdac unknown')
        $answer.reason | Should -Be 'Win32_DeviceGuard does not answer: whether Application Control is on is not known'
        $answer = Invoke-Security -Ask $ask -Cim @{}
        $answer.status | Should -Be 'unknown'
        $answer.records.Count | Should -Be 0
    }

    It 'reads AppLocker: <label>' -ForEach @(
        @{ label = 'enforced'; mode = 1; start = 2; runs = 'running'; state = 'enforcing' }
        @{ label = 'not configured, with rules'; mode = $null; start = 3; runs = 'running'; state = 'enforcing' }
        @{ label = 'audit'; mode = 0; start = 2; runs = 'running'; state = 'permissive' }
        @{ label = 'service stopped'; mode = 1; start = 3; runs = 'stopped'; state = 'inactive' }
        @{ label = 'service not known'; mode = 1; start = 3; runs = $null; state = 'unknown' }
        @{ label = 'service disabled'; mode = 1; start = 4; runs = $null; state = 'inactive' }
    ) {
        $registry = @{ "$locker\Exe" = $(if ($null -ne $mode) { @{ EnforcementMode = $mode } } else { @{} }); "$locker\Exe\{1}" = @{ Value = '<x/>' }; "$locker\Msi" = @{ EnforcementMode = 1 }; "$services\AppIDSvc" = @{ Start = $start } }
        $answer = Invoke-Security -Ask $ask -Registry $registry -State $(if ($runs) { @{ appidsvc = $runs } } else { @{} })
        Get-Shown -Answer $answer | Should -Be @("applocker $state", 'wdac inactive')
        $answer.records[0].detail | Should -Not -BeLike '*Msi*' -Because 'a collection without rules does nothing'
    }

    It 'tells rules of device management, Smart App Control and software restriction' {
        $registry = @{ "$control\CI\Policy" = @{ VerifiedAndReputablePolicyState = 1 }; $safer = @{ DefaultLevel = 0; TransparentEnabled = 1 } }
        $answer = Invoke-Security -Ask $ask -Registry $registry -Path @('C:\Windows\System32\AppLocker\MDM\')
        Get-Shown -Answer $answer | Should -Be @('applocker unknown', 'smart_app_control enforcing', 'srp enforcing', 'wdac inactive')
    }

    It 'takes software restriction of level <level>, applied <applied>, for <state>' -ForEach @(
        @{ level = 262144; applied = 1; state = 'active' }
        @{ level = 131072; applied = 2; state = 'enforcing' }
        @{ level = 0; applied = 0; state = 'inactive' }
    ) {
        $answer = Invoke-Security -Ask $ask -Registry @{ $safer = @{ DefaultLevel = $level; TransparentEnabled = $applied } }
        Get-Shown -Answer $answer | Should -Be @("srp $state", 'wdac inactive')
    }
}

Describe 'defender' {
    BeforeAll {
        Function Get-Property {
            param ([object]$Answer)
            @($Answer.records | ForEach-Object { '{0}={1}' -f $_.property, $_.value } | Sort-Object)
        }
        Function Invoke-Defender {
            param ([string]$Type = 'workstation', [hashtable]$Registry = @{}, [hashtable]$State = @{}, [hashtable]$Cim = @{}, [string[]]$Path = @())
            $ask = { param ($probe) Read-ObserveDefenderState -Probe $probe -Folder $folder -ProductType $Type }
            Invoke-Security -Ask $ask -Registry $Registry -State $State -Cim $Cim -Path $Path
        }
        $status = @{ MSFT_MpComputerStatus = @(@{ AMRunningMode = 'Normal'; RealTimeProtectionEnabled = $true; IsTamperProtected = $false }) }
    }

    It 'tells mode and protection of one that answers' {
        $answer = Invoke-Defender -Registry @{ "$services\WinDefend" = @{ Start = 2 }; "$services\Sense" = @{ Start = 3 } } -State @{ sense = 'stopped' } -Cim $status
        Get-Property -Answer $answer | Should -Be @(
            'AMRunningMode=Normal', 'feature=installed', 'IsTamperProtected=False', 'onboarded=no', 'RealTimeProtectionEnabled=True'
            'Sense=stopped', 'start.Sense=manual', 'start.WinDefend=auto' | Sort-Object
        )
        $answer.status | Should -Be 'ok'
    }

    It 'does not know of one that does not answer' {
        $answer = Invoke-Defender -Registry @{ "$services\WinDefend" = @{ Start = 2 } }
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -Be 'MSFT_MpComputerStatus does not answer: mode, real-time and tamper protection of Defender are not known'
        Get-Property -Answer $answer | Should -Contain 'feature=installed'
    }

    It 'tells on a <type> without Defender whether its files are there: <payload>' -ForEach @(
        @{ type = 'server'; paths = @('C:\Windows\WinSxS\', 'C:\Windows\WinSxS\amd64_windows-defender-service_31bf\'); payload = 'present' }
        @{ type = 'domain_controller'; paths = @('C:\Windows\WinSxS\'); payload = 'removed' }
        @{ type = 'server'; paths = @(); payload = 'unknown' }
        @{ type = 'workstation'; paths = @('C:\Windows\WinSxS\'); payload = $null }
    ) {
        $answer = Invoke-Defender -Type $type -Path $paths
        $shown = Get-Property -Answer $answer
        $shown | Should -Contain 'feature=not_installed'
        if ($payload) { $shown | Should -Contain "payload=$payload" } else { ($shown -like 'payload=*') | Should -BeNullOrEmpty }
        $answer.status | Should -Be $(if ($payload -eq 'unknown') { 'unknown' } else { 'ok' })
    }

    It 'tells policies and that it is onboarded' {
        $registry = @{
            'SOFTWARE\Policies\Microsoft\Windows Advanced Threat Protection' = @{ ForceDefenderPassiveMode = 0 }
            $policy = @{ DisableAntiSpyware = 1 }
            'SOFTWARE\Microsoft\Windows Advanced Threat Protection\Status' = @{ OnboardingState = 1; OrgId = 'a-tenant' }
        }
        $shown = Get-Property -Answer (Invoke-Defender -Registry $registry)
        foreach ($one in @('ForceDefenderPassiveMode=0', 'DisableAntiSpyware=1', 'onboarded=yes', 'OrgId=a-tenant', 'managed_by=gpo')) { $shown | Should -Contain $one }
    }

    It 'is managed by <who>' -ForEach @(
        @{ who = ''; registry = @{ 'SOFTWARE\Policies\Microsoft\Windows Defender\Policy Manager' = @{} } }
        @{ who = 'gpo'; registry = @{ 'SOFTWARE\Policies\Microsoft\Windows Defender\Real-Time Protection' = @{ DisableRealtimeMonitoring = 0 } } }
        @{ who = 'gpo'; registry = @{ 'SOFTWARE\Policies\Microsoft\Windows Defender\Windows Defender Exploit Guard\ASR' = @{ x = 1 } } }
        @{ who = 'intune'; registry = @{ 'SOFTWARE\Policies\Microsoft\Windows Defender\Policy Manager' = @{ AllowRealtimeMonitoring = 1 } } }
        @{ who = 'intune'; registry = @{ 'SOFTWARE\Microsoft\Windows Defender' = @{ ManagedDefenderProductType = 6 } } }
        @{ who = 'intune sccm'; registry = @{ 'SOFTWARE\Microsoft\Windows Defender' = @{ ManagedDefenderProductType = 7 } } }
        @{ who = 'sccm'; registry = @{ 'SOFTWARE\Microsoft\CCM\Logging' = @{} } }
    ) {
        $answer = Invoke-Security -Registry $registry -Ask { param ($probe) foreach ($one in @(Get-ObserveDefenderManager -Probe $probe)) { Add-ObserveRecord -Probe $probe -Record @{ who = $one } } }
        [string]::Join(' ', [string[]]@($answer.records | ForEach-Object { $_.who })) | Should -Be $who
    }
}

Describe 'protected_services' {
    It 'tells levels and denied stops of the services given' {
        $registry = @{
            "$services\KAVFS" = @{ LaunchProtected = 3 }
            "$services\klnagent" = @{ LaunchProtected = 0 }
            "$services\klnagent\Security" = @{ Security = (New-Descriptor -Entry @(@{ type = 1; mask = 0x20; sid = $everybody }, @{ type = 0; mask = 0xF01FF; sid = $administrators })) }
            "$services\avp" = @{}
            "$services\other" = @{ LaunchProtected = 3 }
        }
        $answer = Invoke-Security -Registry $registry -Ask { param ($probe) Read-ObserveProtectedService -Probe $probe -Name @('KAVFS', 'klnagent', 'avp', 'gone') }
        @($answer.records | ForEach-Object { '{0} {1}' -f $_.name, $_.level }) | Should -Be @('KAVFS antimalware_light', 'klnagent stop_denied')
    }

    It 'takes a list with <label> for denied: <denied>' -ForEach @(
        @{ label = 'all for administrators'; entries = @(@{ type = 0; mask = 0xF01FF; sid = @(5, 32, 544) }); denied = $false }
        @{ label = 'generic rights for the system'; entries = @(@{ type = 0; mask = 0x10000000; sid = @(5, 18) }); denied = $false }
        @{ label = 'reading for administrators'; entries = @(@{ type = 0; mask = 0x2018D; sid = @(5, 32, 544) }); denied = $true }
        @{ label = 'stop for another account'; entries = @(@{ type = 0; mask = 0x20; sid = @(5, 21, 1, 2, 3, 1001) }); denied = $true }
        @{ label = 'another right denied'; entries = @(@{ type = 1; mask = 0x10000; sid = @(1, 0) }, @{ type = 0; mask = 0xF01FF; sid = @(5, 32, 544) }); denied = $false }
        @{ label = 'a denial behind the grant'; entries = @(@{ type = 0; mask = 0xF01FF; sid = @(5, 18) }, @{ type = 1; mask = 0x20; sid = @(5, 32, 544) }); denied = $true }
    ) {
        Test-ObserveStopDenied -Descriptor (New-Descriptor -Entry $entries) | Should -Be $denied
    }

    It 'lets everybody stop a service without a list, and knows nothing of rubbish' {
        Test-ObserveStopDenied -Descriptor ([byte[]](New-Object -TypeName byte[] -ArgumentList 20)) | Should -BeFalse
        $registry = @{ "$services\x\Security" = @{ Security = [byte[]]@(1, 2, 3) } }
        $answer = Invoke-Security -Registry $registry -Ask { param ($probe) Read-ObserveProtectedService -Probe $probe -Name @('x') }
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -BeLike '*x\Security: *no security descriptor*'
    }
}

Describe 'desktop' {
    BeforeAll {
        $ask = { param ($probe) Read-ObserveDesktop -Probe $probe -Folder $folder }
    }

    It 'says nothing of an ordinary machine' {
        $answer = Invoke-Security -Ask $ask -Registry @{ 'SOFTWARE\FSLogix\Profiles' = @{ Enabled = 0 }; "$services\frxsvc" = @{} }
        $answer.status | Should -Be 'absent'
    }

    It 'gives hints: <word>' -ForEach @(
        @{ word = 'Citrix Provisioning'; registry = @{ 'SYSTEM\CurrentControlSet\Services\bnistack\PvsAgent' = @{} }; paths = @() }
        @{ word = 'Citrix image'; registry = @{}; paths = @('C:\Personality.ini') }
        @{ word = 'Horizon'; registry = @{ 'SYSTEM\CurrentControlSet\Services\vmware-viewcomposer-ga' = @{} }; paths = @() }
        @{ word = 'FSLogix'; registry = @{ 'SOFTWARE\FSLogix\Profiles' = @{ Enabled = 1 } }; paths = @() }
        @{ word = 'Azure Virtual Desktop'; registry = @{ 'SOFTWARE\Microsoft\RDInfraAgent' = @{} }; paths = @() }
    ) {
        $answer = Invoke-Security -Ask $ask -Registry $registry -Path $paths
        $answer.records.Count | Should -Be 1
        $answer.records[0].kind | Should -Be 'non_persistent'
        $answer.records[0].source | Should -BeLike "hint: *$word*"
    }

    It 'asks the Unified Write Filter where it is registered' {
        $registry = @{ "$services\uwfvol" = @{} }
        (Invoke-Security -Ask $ask -Registry $registry -Cim @{ UWF_Filter = @(@{ CurrentEnabled = $true; NextEnabled = $true }) }).records[0].source | Should -Be 'Unified Write Filter is on'
        (Invoke-Security -Ask $ask -Registry $registry -Cim @{ UWF_Filter = @(@{ CurrentEnabled = $false; NextEnabled = $false }) }).status | Should -Be 'absent'
        (Invoke-Security -Ask $ask -Registry $registry -Cim @{}).status | Should -Be 'unknown'
    }
}

Describe 'what a class said before' {
    It 'is taken when that will do, and asked again when not' {
        # There is no CIM here, so each question of its own makes an answer of its own.
        $arguments = @{ Namespace = 'root/x'; ClassName = 'Lab_Known'; Property = @('a'); Patience = 3 }
        $first = Get-ObserveCim @arguments
        $first.reason | Should -Be 'Lab_Known does not answer'
        [object]::ReferenceEquals($first, (Get-ObserveCim @arguments -Known)) | Should -BeTrue
        [object]::ReferenceEquals($first, (Get-ObserveCim @arguments)) | Should -BeFalse
    }
}
