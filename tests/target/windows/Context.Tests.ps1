# SPDX-License-Identifier: GPL-3.0-or-later

BeforeAll {
    $utils = Join-Path -Path $PSScriptRoot -ChildPath '../../../plugins/module_utils'
    $parts = @('_observe_core', '_observe_registry', '_observe_files', '_observe_hives', '_observe_services', '_observe_cim', '_observe_protection', '_observe_context')
    foreach ($name in $parts) {
        Import-Module -Name (Join-Path -Path $utils -ChildPath "$name.psm1") -Force -Global
    }
    . (Join-Path -Path $PSScriptRoot -ChildPath 'FakeRegistry.ps1')
    foreach ($module in @('_observe_registry', '_observe_context')) {
        Mock -CommandName Open-ObserveBaseKey -ModuleName $module -MockWith { Open-FakeBaseKey -Hive $Hive -View $View }
    }
    # Class -> instances; a class that is not in it does not answer.
    foreach ($module in @('_observe_protection', '_observe_context')) {
        Mock -CommandName Get-ObserveCim -ModuleName $module -MockWith {
            if ($global:Cim.ContainsKey($ClassName)) {
                return @{ reason = ''; items = [System.Collections.ArrayList]@($global:Cim[$ClassName]) }
            }
            @{ reason = "$ClassName does not answer"; items = [System.Collections.ArrayList]@() }
        }
    }
    Mock -CommandName Get-ObserveServiceState -ModuleName _observe_protection -MockWith { $global:States }
    $services = 'SYSTEM\CurrentControlSet\Services'
    $control = 'SYSTEM\CurrentControlSet\Control'
    $windows = 'SOFTWARE\Microsoft\Windows\CurrentVersion'
    $defender = 'SOFTWARE\Microsoft\Windows Defender'
    $center = 'SOFTWARE\Microsoft\Security Center\Provider\Av'

    Function Invoke-Context {
        param ([string]$Read, [hashtable]$Registry = @{}, [hashtable]$Users = @{}, [hashtable]$Cim = @{}, [hashtable]$State = @{})
        Initialize-FakeRegistry -Machine64 $Registry -Users $Users
        $global:Cim = $Cim
        $global:States = $State
        Invoke-ObserveProbe -Timeout 60 -Script { param ($probe) & $Read -Probe $probe }
        Get-FakeOpenKey | Should -Be 0 -Because 'every key that was opened must be disposed'
    }
    Function Get-Shown {
        param ([object]$Answer)
        @($Answer.records | ForEach-Object { '{0} {1} {2}' -f $_.kind, $_.name, $_.state } | Sort-Object)
    }
}

AfterAll {
    Remove-Variable -Name Cim, States -Scope Global
}

Describe 'protection' {
    It 'reads <number> as <state>' -ForEach @(
        @{ number = 0x041000; state = 'active' }
        @{ number = 0x041010; state = 'outdated' }
        @{ number = 0x040000; state = 'off' }
        @{ number = 0x042000; state = 'off' }
        @{ number = 0x043000; state = 'outdated' }
        @{ number = 0x04F000; state = 'unknown' }
        @{ number = $null; state = 'unknown' }
        @{ number = 'text'; state = 'unknown' }
    ) {
        (ConvertFrom-ObserveProductState -Number $number).state | Should -Be $state
    }

    It 'asks Security Center, and its registry when that does not answer' {
        $answer = Invoke-Context -Read Read-ObserveProtection -Cim @{ AntiVirusProduct = @(@{ displayName = 'Kaspersky'; productState = [uint32]0x041000 }) }
        $answer.status | Should -Be 'ok'
        Get-Shown -Answer $answer | Should -Be @('wsc Kaspersky active')
        $answer = Invoke-Context -Read Read-ObserveProtection -Registry @{
            "$center\{1}" = @{ DISPLAYNAME = 'Kaspersky'; STATE = 0x041010 }
            "$center\{2}" = @{ DISPLAYNAME = 'Windows Defender'; STATE = 0x060100 }
        }
        $answer.reason | Should -Be ''
        Get-Shown -Answer $answer | Should -Be @('wsc Kaspersky outdated', 'wsc Windows Defender off')
    }

    It 'takes Defender for <state> in mode <mode>, real-time <realtime>, signatures of <age> days' -ForEach @(
        @{ mode = 'Normal'; realtime = $true; age = 1; state = 'active' }
        @{ mode = 'Normal'; realtime = $true; age = 30; state = 'outdated' }
        @{ mode = 'Normal'; realtime = $false; age = 1; state = 'off' }
        @{ mode = 'Passive Mode'; realtime = $true; age = 1; state = 'passive' }
        @{ mode = 'EDR Block Mode'; realtime = $true; age = 1; state = 'passive' }
        @{ mode = 'Not running'; realtime = $false; age = 1; state = 'off' }
    ) {
        $status = @{ AMRunningMode = $mode; RealTimeProtectionEnabled = $realtime; AntivirusSignatureAge = [uint32]$age; IsTamperProtected = $true }
        $answer = Invoke-Context -Read Read-ObserveProtection -Registry @{ "$services\WinDefend" = @{ Start = 2 } } -Cim @{ MSFT_MpComputerStatus = @($status) }
        Get-Shown -Answer $answer | Should -Be @("defender Microsoft Defender Antivirus $state")
        $answer.records[0].detail | Should -BeLike "mode $mode*"
        # Nobody can say whether another product is there, unless this one is on.
        $answer.status | Should -Be $(if ($state -in @('active', 'outdated')) { 'ok' } else { 'unknown' })
    }

    It 'takes a silent Defender for <state> by registry and service: <label>' -ForEach @(
        @{ label = 'runs'; state = 'active'; runs = 'running'; registry = @{} }
        @{ label = 'stopped'; state = 'off'; runs = 'stopped'; registry = @{} }
        @{ label = 'disabled'; state = 'off'; runs = 'running'; registry = @{ 'SYSTEM\CurrentControlSet\Services\WinDefend' = @{ Start = 4 } } }
        @{ label = 'not known'; state = 'unknown'; runs = 'unknown'; registry = @{} }
        @{ label = 'passive'; state = 'passive'; runs = 'running'; registry = @{ 'SOFTWARE\Microsoft\Windows Defender' = @{ PassiveMode = 1 } } }
        @{ label = 'no monitoring'; state = 'off'; runs = 'running'; registry = @{ 'SOFTWARE\Microsoft\Windows Defender\Real-Time Protection' = @{ DisableRealtimeMonitoring = 1 } } }
        @{ label = 'policy'; state = 'off'; runs = 'running'; registry = @{ 'SOFTWARE\Policies\Microsoft\Windows Defender' = @{ DisableAntiSpyware = 1 } } }
    ) {
        $registry["$services\WinDefend\Security"] = @{}
        $answer = Invoke-Context -Read Read-ObserveProtection -Registry $registry -State @{ windefend = $runs }
        Get-Shown -Answer $answer | Should -Contain "defender Microsoft Defender Antivirus $state"
    }

    It 'names policies, tamper protection and other products' {
        $answer = Invoke-Context -Read Read-ObserveProtection -State @{ windefend = 'running'; csfalconservice = 'running'; sense = 'stopped' } -Registry @{
            "$services\WinDefend" = @{ Start = 2 }
            "$services\CSFalconService" = @{}
            "$services\Sense" = @{}
            "$defender\Features" = @{ TamperProtection = 5 }
            'SOFTWARE\Policies\Microsoft\Windows Advanced Threat Protection' = @{ ForceDefenderPassiveMode = 1 }
            'SOFTWARE\Policies\Microsoft\Windows Defender\Real-Time Protection' = @{ DisableRealtimeMonitoring = 0 }
        }
        Get-Shown -Answer $answer | Should -Be @(
            'defender Microsoft Defender Antivirus active', 'policy defender_forced_passive active',
            'policy defender_tamper_protection active', 'service CSFalconService active', 'service Sense off' | Sort-Object
        )
    }

    It 'says what Windows Firewall does, a policy first' {
        $key = "$services\SharedAccess\Parameters\FirewallPolicy"
        $registry = @{
            "$key\DomainProfile" = @{ EnableFirewall = 1 }
            "$key\StandardProfile" = @{ EnableFirewall = 0 }
            "$key\PublicProfile" = @{ EnableFirewall = 1 }
            'SOFTWARE\Policies\Microsoft\WindowsFirewall\PublicProfile' = @{ EnableFirewall = 0 }
        }
        Get-Shown -Answer (Invoke-Context -Read Read-ObserveProtection -Registry $registry) | Should -Be @(
            'policy windows_firewall_public off', 'service windows_firewall_domain active', 'service windows_firewall_private off'
        )
        $registry["$services\mpssvc"] = @{ Start = 4 }
        @((Invoke-Context -Read Read-ObserveProtection -Registry $registry).records | ForEach-Object { $_.state } | Select-Object -Unique) | Should -Be @('off')
    }

    It 'could not tell when nobody answers' {
        $answer = Invoke-Context -Read Read-ObserveProtection
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -BeLike 'no Security Center to ask*there is no Defender*'
        (Invoke-Context -Read Read-ObserveProtection -Registry @{ $center = 'denied:open' }).reason | Should -BeLike "*HKLM\${center}: access denied*"
    }
}

Describe 'reboot' {
    It 'names <cause>' -ForEach @(
        @{ cause = 'component_servicing'; registry = @{ 'SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending' = @{} } }
        @{ cause = 'windows_update'; registry = @{ 'SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired' = @{} } }
        @{ cause = 'installer'; registry = @{ 'SOFTWARE\Microsoft\Windows\CurrentVersion\Installer\InProgress' = @{} } }
        @{ cause = 'domain_join'; registry = @{ 'SYSTEM\CurrentControlSet\Services\Netlogon' = @{ JoinDomain = 'x' } } }
        @{ cause = 'file_renames'; registry = @{ 'SYSTEM\CurrentControlSet\Control\Session Manager' = @{ PendingFileRenameOperations = [string[]]@('\??\C:\a', '') } } }
        @{ cause = 'computer_rename'; registry = @{
                'SYSTEM\CurrentControlSet\Control\ComputerName\ActiveComputerName' = @{ ComputerName = 'OLD' }
                'SYSTEM\CurrentControlSet\Control\ComputerName\ComputerName' = @{ ComputerName = 'NEW' }
            }
        }
    ) {
        $answer = Invoke-Context -Read Read-ObserveReboot -Registry $registry
        $answer.status | Should -Be 'ok'
        @($answer.records | ForEach-Object { $_.cause }) | Should -Be @($cause)
        $answer.records[0].detail | Should -Not -BeNullOrEmpty
    }

    It 'names the first files and counts the rest' {
        $pairs = [string[]]@('\??\C:\a', '', '\??\C:\b', '!\??\C:\c', '*1\??\C:\d', '', '\??\C:\e', '', '\??\C:\f', '')
        $answer = Invoke-Context -Read Read-ObserveReboot -Registry @{ "$control\Session Manager" = @{ PendingFileRenameOperations = $pairs } }
        $answer.records[0].detail | Should -Be 'C:\a; C:\b; C:\d; and 2 more'
    }

    It 'is absent when nothing is pending, and names what is closed' {
        (Invoke-Context -Read Read-ObserveReboot -Registry @{
            "$control\Session Manager" = @{ PendingFileRenameOperations = [string[]]@() }
            "$services\Netlogon" = @{}
            'SOFTWARE\Microsoft\Updates' = @{ UpdateExeVolatile = 0 }
        }).status | Should -Be 'absent'
        (Invoke-Context -Read Read-ObserveReboot -Registry @{ "$control\Session Manager" = 'denied:values' }).reason | Should -Be "HKLM\$control\Session Manager: access denied"
    }
}

Describe 'encryption' {
    It 'reads a volume as <status>' -ForEach @(
        @{ protection = 1; conversion = 1; status = 'on'; detail = '' }
        @{ protection = 0; conversion = 0; status = 'off'; detail = '' }
        @{ protection = 0; conversion = 1; status = 'off'; detail = 'encrypted, protection suspended' }
        @{ protection = 0; conversion = 2; status = 'converting'; detail = '' }
        @{ protection = 2; conversion = $null; status = 'locked'; detail = '' }
        @{ protection = $null; conversion = $null; status = 'unknown'; detail = '' }
    ) {
        $volume = @{ DriveLetter = 'C:'; DeviceID = 'x'; ProtectionStatus = $protection; ConversionStatus = $conversion; EncryptionMethod = 6 }
        $answer = Invoke-Context -Read Read-ObserveEncryption -Cim @{ Win32_EncryptableVolume = @($volume) } -Registry @{ "$services\fvevol" = @{} }
        $answer.status | Should -Be 'ok'
        '{0} {1} {2} {3}' -f $answer.records[0].volume, $answer.records[0].method, $answer.records[0].status, $answer.records[0].detail |
            Should -Be "C: BitLocker XTS AES 128 $status $detail"
    }

    It 'takes what the start of Windows noted when nobody answers, and says what is not known' {
        $answer = Invoke-Context -Read Read-ObserveEncryption -Registry @{ "$services\fvevol" = @{}; "$control\BitLockerStatus" = @{ BootStatus = 1 }; "$services\veracrypt" = @{} }
        $answer.status | Should -Be 'unknown'
        @($answer.records | ForEach-Object { '{0} {1}' -f $_.method, $_.status }) | Should -Be @('BitLocker on', 'VeraCrypt unknown')
    }

    It 'is absent on a Windows without BitLocker' {
        (Invoke-Context -Read Read-ObserveEncryption).status | Should -Be 'absent'
    }
}

Describe 'roles' {
    It 'knows roles by their services, disabled ones aside' {
        $answer = Invoke-Context -Read Read-ObserveRole -Registry @{
            "$services\NTDS" = @{ Start = 2 }
            "$services\MSSQL`$KAV_CS_ADMIN_KIT" = @{ Start = 2 }
            "$services\vmms" = @{ Start = 4 }
            "$services\kladminserver" = @{ Start = 2 }
            "$services\Spooler" = @{ Start = 2 }
            'SOFTWARE\Microsoft\ServerManager\ServicingStorage\ServerComponentCache\RDS-RD-Server' = @{ InstallState = 1 }
        }
        $answer.status | Should -Be 'ok'
        @($answer.records | ForEach-Object { '{0}: {1}' -f $_.role, $_.source }) | Should -Be @(
            'domain_controller: service NTDS', 'ksc_server: service kladminserver', 'rds: feature RDS-RD-Server', "sql: service MSSQL`$KAV_CS_ADMIN_KIT"
        )
    }

    It 'is absent without a role, unknown without a list of services' {
        (Invoke-Context -Read Read-ObserveRole -Registry @{ "$services\Spooler" = @{} }).status | Should -Be 'absent'
        (Invoke-Context -Read Read-ObserveRole).status | Should -Be 'unknown'
    }
}

Describe 'sessions' {
    It 'takes what Windows says' {
        Mock -CommandName Get-ObserveSession -ModuleName _observe_context -MockWith { , @(@{ user = 'LAB\a'; state = 'active'; kind = 'remote' }) }
        $answer = Invoke-Context -Read Read-ObserveSession
        '{0} {1} {2}' -f $answer.records[0].user, $answer.records[0].state, $answer.records[0].kind | Should -Be 'LAB\a active remote'
    }

    It 'is absent when nobody is signed in' {
        Mock -CommandName Get-ObserveSession -ModuleName _observe_context -MockWith { , @() }
        (Invoke-Context -Read Read-ObserveSession -Users @{ 'S-1-5-21-1-2-3-4\Software' = @{} }).status | Should -Be 'absent'
    }

    It 'falls back to the hives that are loaded' {
        Mock -CommandName Get-ObserveSession -ModuleName _observe_context -MockWith { $null }
        $answer = Invoke-Context -Read Read-ObserveSession -Users @{ 'S-1-5-21-1-2-3-4\Software' = @{}; 'S-1-5-18\Software' = @{}; 'S-1-5-21-1-2-3-4_Classes\x' = @{} }
        $answer.records.Count | Should -Be 1
        $answer.records[0].state | Should -Be 'unknown'
    }
}

Describe 'Get-ObserveCim' {
    It 'says that a class does not answer instead of failing' {
        $answer = & (Get-Module -Name _observe_cim) { Get-ObserveCim -Namespace 'root/none' -ClassName 'No_Class' -Property @('a') }
        $answer.reason | Should -Be 'No_Class does not answer'
        $answer.items.Count | Should -Be 0
    }
}
