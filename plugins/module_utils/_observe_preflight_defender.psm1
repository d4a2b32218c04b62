# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection; may change without notice.
# Defender before it is to take over, for win_observe_plan: is it there, in which mode, and who manages its settings. Context
# only; start values are read and never changed.

#AnsibleRequires -PowerShell ..module_utils._observe_core
#AnsibleRequires -PowerShell ..module_utils._observe_registry
#AnsibleRequires -PowerShell ..module_utils._observe_files
#AnsibleRequires -PowerShell ..module_utils._observe_services
#AnsibleRequires -PowerShell ..module_utils._observe_cim

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$script:ServicesKey = 'SYSTEM\CurrentControlSet\Services'
$script:DefenderKey = 'SOFTWARE\Microsoft\Windows Defender'
$script:PolicyKey = 'SOFTWARE\Policies\Microsoft\Windows Defender'
$script:AdvancedKey = 'SOFTWARE\Microsoft\Windows Advanced Threat Protection'
$script:AdvancedPolicyKey = 'SOFTWARE\Policies\Microsoft\Windows Advanced Threat Protection'
# Seconds a class of CIM may take here.
$script:Patience = 3
$script:StartNames = @{ '0' = 'boot'; '1' = 'system'; '2' = 'auto'; '3' = 'manual'; '4' = 'disabled' }
# Changing their start values is not supported; they are told so that a plan knows.
$script:DefenderServices = @('WdBoot', 'WdFilter', 'WdNisDrv', 'WdNisSvc', 'WinDefend', 'Sense', 'wscsvc', 'SecurityHealthService')

Function Get-ObserveDefenderManager {
    <#
    .SYNOPSIS
    Who sets Defender's settings, as far as the registry tells: gpo, intune, sccm.
    #>
    [OutputType([string[]])]
    param ([hashtable]$Probe)

    $kind = (Get-ObserveMachineValue -Path $script:DefenderKey -Name @('ManagedDefenderProductType')).ManagedDefenderProductType
    $found = @{ gpo = $false; intune = $kind -in @('6', '7'); sccm = $kind -eq '7' }
    Read-ObserveMachineKey -Probe $Probe -Path $script:PolicyKey -Context @{ found = $found } -Script {
        param ($Probe, $Key, $Label, $Context)

        $values = (Get-ObserveKeyValue -Probe $Probe -Key $Key -Label $Label).Keys.Count
        foreach ($name in @(Get-ObserveSubKeyName -Probe $Probe -Key $Key -Label $Label)) {
            $one = @{ values = 0; keys = 0 }
            $arguments = @{ Probe = $Probe; Key = $Key; Name = $name; Label = "$Label\$name"; Context = $one }
            Use-ObserveSubKey @arguments -Script {
                param ($Probe, $Key, $Label, $Context)

                $Context.values = (Get-ObserveKeyValue -Probe $Probe -Key $Key -Label $Label).Keys.Count
                $Context.keys = @(Get-ObserveSubKeyName -Probe $Probe -Key $Key -Label $Label).Count
            }
            if ($name -eq 'Policy Manager') {
                # Device management writes there, Group Policy beside it.
                if ($one.values -gt 0) {
                    $Context.found.intune = $true
                }
            }
            else {
                $values += $one.values + $one.keys
            }
        }
        if ($values -gt 0) {
            $Context.found.gpo = $true
        }
    }
    foreach ($name in @('gpo', 'intune', 'sccm')) {
        if ($found[$name]) {
            $name
        }
    }
    if (-not $found.sccm -and (Test-ObserveMachineKey -Path 'SOFTWARE\Microsoft\CCM')) {
        'sccm'
    }
}

Function Read-ObserveDefenderFeature {
    <#
    .SYNOPSIS
    Is Defender there; on a server also whether its files are, for a server can be without both.
    #>
    param (
        [hashtable]$Probe,
        [hashtable]$Folder,
        [string]$ProductType
    )

    $there = Test-ObserveMachineKey -Path "$script:ServicesKey\WinDefend"
    Add-ObserveRecord -Probe $Probe -Record @{ property = 'feature'; value = $(if ($there) { 'installed' } else { 'not_installed' }) }
    if ($ProductType -notin @('server', 'domain_controller')) {
        return
    }
    $payload = if ($there) { 'present' } else { 'unknown' }
    if (-not $there) {
        try {
            # What the component store keeps of a feature that is off; it is gone when the feature was removed.
            $store = '{0}\WinSxS' -f $Folder.systemroot
            $kept = @(Get-ObserveEntry -Parent $store -Pattern '*_windows-defender-service_*' -Folder $Folder)
            $payload = if ($kept.Count -gt 0) { 'present' } else { 'removed' }
        }
        catch {
            $why = Get-ObserveReason -Exception $_.Exception
            Add-ObserveProblem -Probe $Probe -Problem ('payload of Defender: {0}: {1}' -f $store, $why)
        }
    }
    Add-ObserveRecord -Probe $Probe -Record @{ property = 'payload'; value = $payload }
}

Function Read-ObserveDefenderState {
    <#
    .SYNOPSIS
    Probe defender: what must be known before Defender is to take over, and who would undo a change of its settings.
    .PARAMETER ProductType
    workstation, server or domain_controller, as in the record of the host.
    #>
    param (
        [hashtable]$Probe,
        [hashtable]$Folder,
        [AllowEmptyString()][string]$ProductType
    )

    Read-ObserveDefenderFeature -Probe $Probe -Folder $Folder -ProductType $ProductType
    foreach ($service in $script:DefenderServices) {
        $start = (Get-ObserveMachineValue -Path "$script:ServicesKey\$service" -Name @('Start')).Start
        if ($start) {
            $word = if ($script:StartNames.ContainsKey($start)) { $script:StartNames[$start] } else { $start }
            Add-ObserveRecord -Probe $Probe -Record @{ property = "start.$service"; value = $word }
        }
    }
    $settings = @(
        @{ key = $script:AdvancedPolicyKey; name = 'ForceDefenderPassiveMode' }
        @{ key = $script:PolicyKey; name = 'DisableAntiSpyware' }
        @{ key = $script:AdvancedKey + '\Status'; name = 'OnboardingState' }
        @{ key = $script:AdvancedKey + '\Status'; name = 'OrgId' }
    )
    foreach ($setting in $settings) {
        $value = (Get-ObserveMachineValue -Path $setting.key -Name @($setting.name))[$setting.name]
        if ($setting.name -eq 'OnboardingState') {
            Add-ObserveRecord -Probe $Probe -Record @{ property = 'onboarded'; value = $(if ($value -eq '1') { 'yes' } else { 'no' }) }
        }
        elseif ($value) {
            Add-ObserveRecord -Probe $Probe -Record @{ property = $setting.name; value = $value }
        }
    }
    foreach ($manager in @(Get-ObserveDefenderManager -Probe $Probe)) {
        Add-ObserveRecord -Probe $Probe -Record @{ property = 'managed_by'; value = $manager }
    }
    $states = Get-ObserveServiceState
    if ($null -ne $states -and $states.ContainsKey('sense')) {
        Add-ObserveRecord -Probe $Probe -Record @{ property = 'Sense'; value = $states['sense'] }
    }
    if (-not (Test-ObserveMachineKey -Path "$script:ServicesKey\WinDefend")) {
        return
    }
    Assert-ObserveTime -Probe $Probe
    # The probe protection has asked this class already; a class that hangs is not asked twice.
    $properties = @('AMRunningMode', 'RealTimeProtectionEnabled', 'IsTamperProtected')
    $arguments = @{ Namespace = 'root/Microsoft/Windows/Defender'; ClassName = 'MSFT_MpComputerStatus'; Property = $properties }
    $answer = Get-ObserveCim @arguments -Patience $script:Patience -Known
    if ($answer.reason -or $answer.items.Count -eq 0) {
        $why = if ($answer.reason) { $answer.reason } else { 'MSFT_MpComputerStatus says nothing' }
        Add-ObserveProblem -Probe $Probe -Problem ('{0}: mode, real-time and tamper protection of Defender are not known' -f $why)
        return
    }
    foreach ($property in $properties) {
        $value = $answer.items[0][$property]
        if ($null -eq $value) {
            Add-ObserveProblem -Probe $Probe -Problem "Defender does not say its $property"
        }
        else {
            Add-ObserveRecord -Probe $Probe -Record @{ property = $property; value = $value }
        }
    }
}

Export-ModuleMember -Function @(
    'Get-ObserveDefenderManager'
    'Read-ObserveDefenderState'
)
