# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection; may change without notice.
# Which protection is active, for win_observe: Security Center, Defender, policies that change them, Windows Firewall and the
# services of well-known products. Context only: it never decides whether a product is there.

#AnsibleRequires -PowerShell ..module_utils._observe_core
#AnsibleRequires -PowerShell ..module_utils._observe_registry
#AnsibleRequires -PowerShell ..module_utils._observe_services
#AnsibleRequires -PowerShell ..module_utils._observe_cim

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$script:ServicesKey = 'SYSTEM\CurrentControlSet\Services'
$script:CenterKey = 'SOFTWARE\Microsoft\Security Center\Provider\Av'
$script:DefenderKey = 'SOFTWARE\Microsoft\Windows Defender'
$script:PolicyKey = 'SOFTWARE\Policies\Microsoft\Windows Defender'
$script:AdvancedKey = 'SOFTWARE\Policies\Microsoft\Windows Advanced Threat Protection'
$script:FirewallKey = "$script:ServicesKey\SharedAccess\Parameters\FirewallPolicy"
$script:FirewallPolicyKey = 'SOFTWARE\Policies\Microsoft\WindowsFirewall'
$script:MaxProducts = 50
# Days after which signatures are old.
$script:MaxAge = 7
# Key, value -> what it does when it is not 0.
$script:Switches = @(
    @{ key = $script:PolicyKey; value = 'DisableAntiSpyware'; name = 'defender_disabled' }
    @{ key = $script:PolicyKey; value = 'DisableAntiVirus'; name = 'defender_antivirus_disabled' }
    @{ key = "$script:PolicyKey\Real-Time Protection"; value = 'DisableRealtimeMonitoring'; name = 'defender_realtime_disabled' }
    @{ key = $script:AdvancedKey; value = 'ForceDefenderPassiveMode'; name = 'defender_forced_passive' }
)
# Service -> product: only a hint that something else may protect the host, whatever that service does.
$script:KnownServices = @{
    'Sense' = 'Microsoft Defender for Endpoint'
    'WdNisSvc' = 'Microsoft Defender network inspection'
    'CSFalconService' = 'CrowdStrike Falcon'
    'SentinelAgent' = 'SentinelOne'
    'Sophos Endpoint Defense Service' = 'Sophos Endpoint'
    'ekrn' = 'ESET'
    'EPSecurityService' = 'Bitdefender GravityZone'
    'ds_agent' = 'Trend Micro Deep Security'
    'ntrtscan' = 'Trend Micro Apex One'
    'MBAMService' = 'Malwarebytes'
    'MBEndpointAgent' = 'ThreatDown'
    'ElasticEndpoint' = 'Elastic Defend'
    'SepMasterService' = 'Symantec Endpoint Protection'
    'mfemms' = 'Trellix Endpoint Security'
    'cyserver' = 'Cortex XDR'
    'CbDefense' = 'Carbon Black Cloud'
    'clamd' = 'ClamAV'
    'WRSVC' = 'Webroot'
}

Function ConvertFrom-ObserveProductState {
    <#
    .SYNOPSIS
    What Security Center's number says: state and detail.
    #>
    [OutputType([hashtable])]
    param ([AllowNull()][object]$Number)

    if ($Number -isnot [int] -and $Number -isnot [uint32] -and $Number -isnot [long]) {
        return @{ state = 'unknown'; detail = '' }
    }
    $bits = [long]$Number
    $old = ($bits -band 0xF0) -ne 0
    $detail = 'state 0x{0:x6}' -f $bits
    $part = ($bits -band 0xF000) -shr 12
    $words = @{ 0 = 'off'; 1 = 'active'; 2 = 'off'; 3 = 'outdated' }
    $why = @{ 2 = ', paused'; 3 = ', expired' }
    $state = if ($words.ContainsKey([int]$part)) { $words[[int]$part] } else { 'unknown' }
    if ($state -eq 'active' -and $old) {
        $state = 'outdated'
    }
    @{ state = $state; detail = '{0}{1}' -f $detail, $why[[int]$part] }
}

Function Read-ObserveSecurityCenter {
    <#
    .SYNOPSIS
    The products registered with Security Center. Returns whether one of both sources answered.
    #>
    [OutputType([bool])]
    param ([hashtable]$Probe)

    $properties = @('displayName', 'productState')
    $answer = Get-ObserveCim -Namespace 'root/SecurityCenter2' -ClassName 'AntiVirusProduct' -Property $properties
    $products = @($answer.items | ForEach-Object { @{ name = $_.displayName; state = $_.productState } })
    $told = -not $answer.reason
    if (-not $told) {
        $found = @{ products = New-Object -TypeName System.Collections.ArrayList; told = $false }
        Read-ObserveMachineKey -Probe $Probe -Path $script:CenterKey -Context $found -Script {
            param ($Probe, $Key, $Label, $Context)

            $Context.told = $true
            Read-ObserveChildKey -Probe $Probe -Key $Key -Label $Label -Context $Context -Script {
                param ($Probe, $Key, $Label, $Context)

                [void]$Context.products.Add(@{
                        name = Get-ObserveValue -Key $Key -Name 'DISPLAYNAME'
                        state = Get-ObserveValue -Key $Key -Name 'STATE'
                    })
            }
        }
        $products = $found.products.ToArray()
        $told = $found.told
    }
    foreach ($product in @($products | Select-Object -First $script:MaxProducts)) {
        $state = ConvertFrom-ObserveProductState -Number $product.state
        Add-ObserveRecord -Probe $Probe -Record @{ kind = 'wsc'; name = $product.name; state = $state.state; detail = $state.detail }
    }
    $told
}

Function Get-ObserveNumber {
    <#
    .SYNOPSIS
    A number of the registry below HKLM: $null when it is not there.
    #>
    param (
        [string]$Path,
        [string]$Name
    )

    $text = (Get-ObserveMachineValue -Path $Path -Name @($Name))[$Name]
    $number = [long]0
    if ([long]::TryParse($text, [ref]$number)) {
        return $number
    }
    $null
}

Function Read-ObserveDefender {
    <#
    .SYNOPSIS
    Defender's own state, from its provider or, where that does not answer, from service and registry. Returns its state;
    '' where there is no Defender.
    #>
    [OutputType([string])]
    param (
        [hashtable]$Probe,
        [AllowNull()][hashtable]$States
    )

    if (-not (Test-ObserveMachineKey -Path "$script:ServicesKey\WinDefend")) {
        return ''
    }
    $properties = @('AMRunningMode', 'RealTimeProtectionEnabled', 'AntivirusSignatureAge', 'IsTamperProtected')
    $arguments = @{ Namespace = 'root/Microsoft/Windows/Defender'; ClassName = 'MSFT_MpComputerStatus'; Property = $properties }
    $answer = Get-ObserveCim @arguments
    $state = 'unknown'
    $detail = New-Object -TypeName System.Collections.ArrayList
    if (-not $answer.reason -and $answer.items.Count -gt 0 -and $answer.items[0].AMRunningMode) {
        $status = $answer.items[0]
        [void]$detail.Add(('mode {0}' -f $status.AMRunningMode))
        if ($status.AMRunningMode -match 'Passive|EDR Block') {
            $state = 'passive'
        }
        elseif ($status.AMRunningMode -ne 'Normal') {
            $state = 'off'
        }
        elseif ($status.RealTimeProtectionEnabled -eq $true) {
            $state = 'active'
        }
        else {
            $state = 'off'
            [void]$detail.Add('real-time protection is off')
        }
        if ($null -ne $status.AntivirusSignatureAge) {
            [void]$detail.Add(('signatures of {0} days' -f $status.AntivirusSignatureAge))
            if ($state -eq 'active' -and $status.AntivirusSignatureAge -gt $script:MaxAge) {
                $state = 'outdated'
            }
        }
    }
    else {
        $start = Get-ObserveNumber -Path "$script:ServicesKey\WinDefend" -Name 'Start'
        $runs = if ($null -ne $States) { $States['windefend'] } else { $null }
        $monitoring = @(
            Get-ObserveNumber -Path "$script:DefenderKey\Real-Time Protection" -Name 'DisableRealtimeMonitoring'
            Get-ObserveNumber -Path "$script:PolicyKey\Real-Time Protection" -Name 'DisableRealtimeMonitoring'
        )
        $disabled = @(
            Get-ObserveNumber -Path $script:DefenderKey -Name 'DisableAntiSpyware'
            Get-ObserveNumber -Path $script:PolicyKey -Name 'DisableAntiSpyware'
        )
        [void]$detail.Add('by its service and registry')
        if ($start -eq 4 -or $runs -eq 'stopped') {
            $state = 'off'
            [void]$detail.Add('its service does not run')
        }
        elseif ($runs -ne 'running') {
            $state = 'unknown'
        }
        elseif ((Get-ObserveNumber -Path $script:DefenderKey -Name 'PassiveMode') -gt 0) {
            $state = 'passive'
        }
        elseif (@($disabled + $monitoring) -contains 1) {
            $state = 'off'
            [void]$detail.Add('switched off in the registry')
        }
        else {
            $state = 'active'
        }
    }
    Add-ObserveRecord -Probe $Probe -Record @{
        kind = 'defender'
        name = 'Microsoft Defender Antivirus'
        state = $state
        detail = [string]::Join(', ', [string[]]$detail.ToArray())
    }
    $tamper = Get-ObserveNumber -Path "$script:DefenderKey\Features" -Name 'TamperProtection'
    if ($null -ne $tamper) {
        Add-ObserveRecord -Probe $Probe -Record @{
            kind = 'policy'
            name = 'defender_tamper_protection'
            state = if ($tamper -in @(1, 5)) { 'active' } else { 'off' }
            detail = 'value {0}' -f $tamper
        }
    }
    $state
}

Function Read-ObserveFirewallProfile {
    <#
    .SYNOPSIS
    Is Windows Firewall on, for each of its three profiles. What a policy says goes before what is set here.
    #>
    param ([hashtable]$Probe)

    $profiles = @{ domain = @('DomainProfile'); private = @('PrivateProfile', 'StandardProfile'); public = @('PublicProfile') }
    $stopped = (Get-ObserveNumber -Path "$script:ServicesKey\mpssvc" -Name 'Start') -eq 4
    foreach ($name in @($profiles.Keys | Sort-Object)) {
        $found = $null
        foreach ($source in @(@{ key = $script:FirewallPolicyKey; kind = 'policy' }, @{ key = $script:FirewallKey; kind = 'service' })) {
            foreach ($key in $profiles[$name]) {
                if ($null -eq $found) {
                    $on = Get-ObserveNumber -Path ('{0}\{1}' -f $source.key, $key) -Name 'EnableFirewall'
                    if ($null -ne $on) {
                        $found = @{ kind = $source.kind; name = "windows_firewall_$name"; state = 'off'; detail = '' }
                        if ($on -ne 0) {
                            $found.state = 'active'
                        }
                    }
                }
            }
        }
        if ($null -ne $found) {
            if ($stopped) {
                $found.state = 'off'
                $found.detail = 'its service is disabled'
            }
            Add-ObserveRecord -Probe $Probe -Record $found
        }
    }
}

Function Read-ObserveProtection {
    <#
    .SYNOPSIS
    Probe protection. Unknown when no source could say whether the host is protected: a server has no Security Center, so
    that there only an active Defender tells.
    #>
    param ([hashtable]$Probe)

    $told = Read-ObserveSecurityCenter -Probe $Probe
    Assert-ObserveTime -Probe $Probe
    $states = Get-ObserveServiceState
    $defender = Read-ObserveDefender -Probe $Probe -States $states
    foreach ($switch in $script:Switches) {
        $number = Get-ObserveNumber -Path $switch.key -Name $switch.value
        if ($null -ne $number -and $number -ne 0) {
            $where = 'HKLM\{0}\{1} = {2}' -f $switch.key, $switch.value, $number
            Add-ObserveRecord -Probe $Probe -Record @{ kind = 'policy'; name = $switch.name; state = 'active'; detail = $where }
        }
    }
    Read-ObserveFirewallProfile -Probe $Probe
    $words = @{ running = 'active'; stopped = 'off' }
    foreach ($name in @($script:KnownServices.Keys | Sort-Object)) {
        if (Test-ObserveMachineKey -Path "$script:ServicesKey\$name") {
            $word = if ($null -ne $states) { $states[$name.ToLowerInvariant()] } else { $null }
            $state = if ($word -and $words.ContainsKey($word)) { $words[$word] } else { 'unknown' }
            $shown = if ($word) { $word } else { 'state not known' }
            $detail = '{0}, service {1}' -f $script:KnownServices[$name], $shown
            Add-ObserveRecord -Probe $Probe -Record @{ kind = 'service'; name = $name; state = $state; detail = $detail }
        }
    }
    if (-not $told -and $defender -notin @('active', 'outdated')) {
        $what = if ($defender) { "Defender is $defender" } else { 'there is no Defender' }
        Add-ObserveProblem -Probe $Probe -Problem ('no Security Center to ask (a server has none) and {0}; other products cannot be told' -f $what)
    }
}

Export-ModuleMember -Function @(
    'ConvertFrom-ObserveProductState'
    'Get-ObserveNumber'
    'Read-ObserveDefender'
    'Read-ObserveProtection'
)
