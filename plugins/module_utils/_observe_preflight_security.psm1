# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection; may change without notice.
# What could forbid an act or undo it, for win_observe_plan: rules on which programs may run, services that cannot be
# stopped, machines that forget. Context only.

#AnsibleRequires -PowerShell ..module_utils._observe_core
#AnsibleRequires -PowerShell ..module_utils._observe_registry
#AnsibleRequires -PowerShell ..module_utils._observe_files
#AnsibleRequires -PowerShell ..module_utils._observe_services
#AnsibleRequires -PowerShell ..module_utils._observe_cim

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$script:ServicesKey = 'SYSTEM\CurrentControlSet\Services'
$script:Control = 'SYSTEM\CurrentControlSet\Control'
$script:LockerKey = 'SOFTWARE\Policies\Microsoft\Windows\SrpV2'
$script:SaferKey = 'SOFTWARE\Policies\Microsoft\Windows\Safer\CodeIdentifiers'
$script:SmartKey = "$script:Control\CI\Policy"
$script:IntegrityFiles = '%SystemRoot%\System32\CodeIntegrity'
# Seconds a class of CIM may take here.
$script:Patience = 3
# SERVICE_LAUNCH_PROTECTED_*
$script:LaunchNames = @{ '1' = 'windows'; '2' = 'windows_light'; '3' = 'antimalware_light' }
# SERVICE_STOP, and the generic rights that hold it.
$script:StopRights = 0x20 -bor 0x10000000 -bor 0x20000000
# Who an administrator or the system is to an access list.
$script:Mighty = @('S-1-5-18', 'S-1-5-32-544', 'S-1-1-0', 'S-1-5-11')
# Key below HKLM and the value in it (none: the key is enough) -> what that says. Only what is marked sure is told as a fact;
# the rest is a hint: the software is there, whether this machine forgets is for a person to say.
$script:Desktops = @(
    @{ key = "$script:ServicesKey\bnistack\PvsAgent"; value = ''; source = 'hint: Citrix Provisioning target device' }
    @{ key = "$script:ServicesKey\vmware-viewcomposer-ga"; value = ''; source = 'hint: VMware Horizon clone agent' }
    @{ key = 'SOFTWARE\FSLogix\Profiles'; value = 'Enabled'; source = 'hint: FSLogix profile containers are on' }
    @{ key = 'SOFTWARE\Microsoft\RDInfraAgent'; value = ''; source = 'hint: Azure Virtual Desktop session host' }
    @{ key = "$script:ServicesKey\ewf"; value = ''; source = 'hint: Enhanced Write Filter is registered' }
    @{ key = "$script:ServicesKey\fbwf"; value = ''; source = 'hint: File-Based Write Filter is registered' }
)
# What machine creation of Citrix leaves on the system drive.
$script:Personality = '%SystemDrive%\Personality.ini'

Function Read-ObserveAppLocker {
    <#
    .SYNOPSIS
    AppLocker's rule collections from policies: a collection with rules is enforced unless it says "audit".
    #>
    param (
        [hashtable]$Probe,
        [hashtable]$Folder
    )

    $found = @{ modes = New-Object -TypeName System.Collections.ArrayList }
    Read-ObserveMachineKey -Probe $Probe -Path $script:LockerKey -Context $found -Script {
        param ($Probe, $Key, $Label, $Context)

        Read-ObserveChildKey -Probe $Probe -Key $Key -Label $Label -Context $Context -Script {
            param ($Probe, $Key, $Label, $Context)

            if (@(Get-ObserveSubKeyName -Probe $Probe -Key $Key -Label $Label).Count -gt 0) {
                $mode = if ((Get-ObserveValue -Key $Key -Name 'EnforcementMode') -eq 0) { 'audit' } else { 'enforced' }
                [void]$Context.modes.Add(('{0} {1}' -f $Context.name, $mode))
            }
        }
    }
    if ($found.modes.Count -gt 0) {
        $service = (Get-ObserveMachineValue -Path "$script:ServicesKey\AppIDSvc" -Name @('Start')).Start
        $states = Get-ObserveServiceState
        $runs = if ($null -ne $states) { $states['appidsvc'] } else { $null }
        $enforced = @($found.modes | Where-Object { $_ -like '* enforced' }).Count -gt 0
        $state = if ($enforced) { 'enforcing' } else { 'permissive' }
        $detail = [string]::Join(', ', [string[]]@($found.modes | Sort-Object))
        if ($service -eq '4' -or $runs -eq 'stopped') {
            $state = 'inactive'
            $detail += '; its service AppIDSvc does not run'
        }
        elseif (-not $runs) {
            $state = 'unknown'
            $detail += '; whether its service AppIDSvc runs is not known'
        }
        Add-ObserveRecord -Probe $Probe -Record @{ kind = 'applocker'; state = $state; detail = $detail }
    }
    # What device management brought is kept in files only.
    $managed = Expand-ObservePath -Path '%SystemRoot%\System32\AppLocker\MDM' -Folder $Folder
    if ((Get-ObserveFileType -Path $managed -Folder $Folder) -eq 'dir') {
        Add-ObserveRecord -Probe $Probe -Record @{ kind = 'applocker'; state = 'unknown'; detail = "rules of device management in $managed" }
    }
}

Function Read-ObserveCodeIntegrity {
    <#
    .SYNOPSIS
    Application Control (WDAC) from its provider. Where that does not answer, policies that lie on the disk are told, and
    that their effect is not known.
    #>
    param (
        [hashtable]$Probe,
        [hashtable]$Folder
    )

    $names = @('CodeIntegrityPolicyEnforcementStatus', 'UsermodeCodeIntegrityPolicyEnforcementStatus')
    $arguments = @{ Namespace = 'root/Microsoft/Windows/DeviceGuard'; ClassName = 'Win32_DeviceGuard'; Property = $names; Patience = $script:Patience }
    $answer = Get-ObserveCim @arguments
    $words = @{ 0 = 'inactive'; 1 = 'permissive'; 2 = 'enforcing' }
    if (-not $answer.reason -and $answer.items.Count -gt 0 -and $null -ne $answer.items[0][$names[1]]) {
        # Programs are in user mode; a policy for the kernel alone stops drivers only.
        $user = [int]$answer.items[0][$names[1]]
        $state = if ($words.ContainsKey($user)) { $words[$user] } else { 'unknown' }
        Add-ObserveRecord -Probe $Probe -Record @{
            kind = 'wdac'
            state = $state
            detail = 'kernel {0}, programs {1}' -f $answer.items[0][$names[0]], $user
        }
        return
    }
    $why = if ($answer.reason) { $answer.reason } else { 'Win32_DeviceGuard says nothing' }
    $files = New-ObserveProbe -Timeout $script:Patience
    $literals = @("$script:IntegrityFiles\SIPolicy.p7b", "$script:IntegrityFiles\CiPolicies\Active\*.cip")
    Read-ObservePath -Probe $files -Folder $Folder -Literal $literals
    if ($files.records.Count -gt 0) {
        $detail = '{0:D} policies in {1}' -f $files.records.Count, (Expand-ObservePath -Path $script:IntegrityFiles -Folder $Folder)
        Add-ObserveRecord -Probe $Probe -Record @{ kind = 'wdac'; state = 'unknown'; detail = $detail }
    }
    Add-ObserveProblem -Probe $Probe -Problem ('{0}: whether Application Control is on is not known' -f $why)
}

Function Read-ObserveEnforcement {
    <#
    .SYNOPSIS
    Probe enforcement: rules on which programs may run.
    #>
    param (
        [hashtable]$Probe,
        [hashtable]$Folder
    )

    Read-ObserveAppLocker -Probe $Probe -Folder $Folder
    $smart = (Get-ObserveMachineValue -Path $script:SmartKey -Name @('VerifiedAndReputablePolicyState')).VerifiedAndReputablePolicyState
    if ($smart) {
        $words = @{ '0' = 'inactive'; '1' = 'enforcing'; '2' = 'permissive' }
        $state = if ($words.ContainsKey($smart)) { $words[$smart] } else { 'unknown' }
        Add-ObserveRecord -Probe $Probe -Record @{ kind = 'smart_app_control'; state = $state; detail = "value $smart" }
    }
    $safer = Get-ObserveMachineValue -Path $script:SaferKey -Name @('DefaultLevel', 'TransparentEnabled')
    if ($safer.DefaultLevel) {
        # 0x40000 lets everything run that no rule forbids.
        $state = if ($safer.TransparentEnabled -eq '0') { 'inactive' } elseif ($safer.DefaultLevel -eq '262144') { 'active' } else { 'enforcing' }
        $detail = 'default level {0}, applied to {1}' -f $safer.DefaultLevel, $safer.TransparentEnabled
        Add-ObserveRecord -Probe $Probe -Record @{ kind = 'srp'; state = $state; detail = $detail }
    }
    Assert-ObserveTime -Probe $Probe
    Read-ObserveCodeIntegrity -Probe $Probe -Folder $Folder
}

Function Test-ObserveStopDenied {
    <#
    .SYNOPSIS
    Does the access list of a service (a security descriptor as the registry has it) keep administrators and the system from
    stopping it: denied, or granted to none of them. Throws when it is no descriptor.
    #>
    [OutputType([bool])]
    param ([byte[]]$Descriptor)

    if ($Descriptor.Length -lt 20) {
        throw 'no security descriptor'
    }
    $list = [System.BitConverter]::ToInt32($Descriptor, 16)
    if ($list -eq 0) {
        # No list at all: everybody may do everything.
        return $false
    }
    $granted = $false
    $place = $list + 8
    $count = [System.BitConverter]::ToUInt16($Descriptor, $list + 4)
    for ($number = 0; $number -lt $count; $number++) {
        $type = $Descriptor[$place]
        $mask = [System.BitConverter]::ToUInt32($Descriptor, $place + 4)
        if ($type -in @(0, 1) -and ($mask -band $script:StopRights) -ne 0) {
            $parts = $Descriptor[$place + 9]
            $authority = $Descriptor[$place + 15]
            $sid = 'S-{0}-{1}' -f $Descriptor[$place + 8], $authority
            for ($part = 0; $part -lt $parts; $part++) {
                $sid += '-{0}' -f [System.BitConverter]::ToUInt32($Descriptor, $place + 16 + 4 * $part)
            }
            if ($script:Mighty -contains $sid) {
                if ($type -eq 1) {
                    return $true
                }
                $granted = $true
            }
        }
        $place += [System.BitConverter]::ToUInt16($Descriptor, $place + 2)
    }
    -not $granted
}

Function Read-ObserveProtectedService {
    <#
    .SYNOPSIS
    Probe protected_services: which of the given services Windows or their access list keeps from being stopped.
    #>
    param (
        [hashtable]$Probe,
        [AllowEmptyCollection()][object[]]$Name
    )

    foreach ($service in @($Name | Sort-Object -Unique)) {
        Read-ObserveMachineKey -Probe $Probe -Path "$script:ServicesKey\$service" -Context @{ service = $service } -Script {
            param ($Probe, $Key, $Label, $Context)

            $level = ConvertTo-ObserveText -Value (Get-ObserveValue -Key $Key -Name 'LaunchProtected')
            if ($level -and $level -ne '0') {
                $word = if ($script:LaunchNames.ContainsKey($level)) { $script:LaunchNames[$level] } else { "level $level" }
                Add-ObserveRecord -Probe $Probe -Record @{ name = $Context.service; level = $word }
            }
            $arguments = @{ Probe = $Probe; Key = $Key; Name = 'Security'; Label = "$Label\Security"; Context = $Context }
            Use-ObserveSubKey @arguments -Script {
                param ($Probe, $Key, $Label, $Context)

                $descriptor = Get-ObserveValue -Key $Key -Name 'Security'
                if ($descriptor -is [byte[]] -and (Test-ObserveStopDenied -Descriptor $descriptor)) {
                    Add-ObserveRecord -Probe $Probe -Record @{ name = $Context.service; level = 'stop_denied' }
                }
            }
        }
    }
}

Function Read-ObserveDesktop {
    <#
    .SYNOPSIS
    Probe desktop: signs that this machine forgets what is done to it when it restarts.
    #>
    param (
        [hashtable]$Probe,
        [hashtable]$Folder
    )

    foreach ($one in $script:Desktops) {
        Read-ObserveMachineKey -Probe $Probe -Path $one.key -Context $one -Script {
            param ($Probe, $Key, $Label, $Context)

            if (-not $Context.value -or (Get-ObserveValue -Key $Key -Name $Context.value) -eq 1) {
                Add-ObserveRecord -Probe $Probe -Record @{ kind = 'non_persistent'; source = '{0} ({1})' -f $Context.source, $Label }
            }
        }
    }
    $file = Expand-ObservePath -Path $script:Personality -Folder $Folder
    if ((Test-ObserveFile -Path $file -Folder $Folder) -eq 'yes') {
        Add-ObserveRecord -Probe $Probe -Record @{ kind = 'non_persistent'; source = "hint: Citrix image ($file)" }
    }
    if (Test-ObserveMachineKey -Path "$script:ServicesKey\uwfvol") {
        $arguments = @{ Namespace = 'root/standardcimv2/embedded'; ClassName = 'UWF_Filter'; Property = @('CurrentEnabled', 'NextEnabled') }
        $answer = Get-ObserveCim @arguments -Patience $script:Patience
        if ($answer.reason -or $answer.items.Count -eq 0) {
            Add-ObserveProblem -Probe $Probe -Problem 'Unified Write Filter is registered; UWF_Filter does not say whether it is on'
        }
        elseif ($answer.items[0].CurrentEnabled -eq $true) {
            Add-ObserveRecord -Probe $Probe -Record @{ kind = 'non_persistent'; source = 'Unified Write Filter is on' }
        }
    }
}

Export-ModuleMember -Function @(
    'Read-ObserveDesktop'
    'Read-ObserveEnforcement'
    'Read-ObserveProtectedService'
    'Test-ObserveStopDenied'
)
