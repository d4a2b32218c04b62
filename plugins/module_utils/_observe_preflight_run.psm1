# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection; may change without notice.
# The preflight probes of win_observe_plan: asked after all others and beside them, each within three seconds.

#AnsibleRequires -PowerShell ..module_utils._observe_core
#AnsibleRequires -PowerShell ..module_utils._observe_files
#AnsibleRequires -PowerShell ..module_utils._observe_preflight
#AnsibleRequires -PowerShell ..module_utils._observe_preflight_defender
#AnsibleRequires -PowerShell ..module_utils._observe_preflight_files
#AnsibleRequires -PowerShell ..module_utils._observe_preflight_network
#AnsibleRequires -PowerShell ..module_utils._observe_preflight_security

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

# Seconds a probe may take.
$script:Patience = 3

Function Get-ObserveTold {
    <#
    .SYNOPSIS
    One value of all records of some probes; a probe that could not tell is a problem of the one that asks.
    #>
    [OutputType([string[]])]
    param (
        [hashtable]$Probe,
        [hashtable]$Answer,
        [string[]]$Name,
        [string]$Field
    )

    foreach ($one in $Name) {
        if ($Answer[$one].status -eq 'unknown') {
            Add-ObserveProblem -Probe $Probe -Problem ('{0} could not tell all: {1}' -f $one, $Answer[$one].reason)
        }
        foreach ($record in $Answer[$one].records) {
            $record[$Field]
        }
    }
}

Function Add-ObservePreflight {
    <#
    .SYNOPSIS
    Ask the preflight probes and put their answers beside those of the observation.
    .PARAMETER Question
    codes, endpoints, ports, proxy, stores, vaults -> texts.
    #>
    param (
        [hashtable]$Observation,
        [hashtable]$Question
    )

    $answers = $Observation.probes
    $type = if ($Observation.host.ContainsKey('product_type')) { $Observation.host['product_type'] } else { '' }
    $proxy = if (@($Question.proxy).Count -gt 0) { [string]@($Question.proxy)[0] } else { '' }
    $scripts = [ordered]@{
        'installer' = { param ($probe) Read-ObserveInstaller -Probe $probe }
        'msi' = {
            param ($probe)
            $found = @(Get-ObserveTold -Probe $probe -Answer $answers -Name @('uninstall.machine') -Field 'key')
            Read-ObserveMsi -Probe $probe -Folder (Get-ObserveFolder) -Asked $Question.codes -Found $found
        }
        'space' = { param ($probe) Read-ObserveSpace -Probe $probe -Folder (Get-ObserveFolder) }
        'resources' = { param ($probe) Read-ObserveResource -Probe $probe }
        'enforcement' = { param ($probe) Read-ObserveEnforcement -Probe $probe -Folder (Get-ObserveFolder) }
        'defender' = { param ($probe) Read-ObserveDefenderState -Probe $probe -Folder (Get-ObserveFolder) -ProductType $type }
        'firewall' = {
            param ($probe)
            foreach ($port in $Question.ports) {
                Read-ObserveFirewallPort -Probe $probe -Port ([int]$port)
            }
        }
        'protected_services' = {
            param ($probe)
            $names = @(Get-ObserveTold -Probe $probe -Answer $answers -Name @('services') -Field 'name')
            Read-ObserveProtectedService -Probe $probe -Name $names
        }
        'desktop' = { param ($probe) Read-ObserveDesktop -Probe $probe -Folder (Get-ObserveFolder) }
        'tools' = { param ($probe) Read-ObserveTool -Probe $probe -Folder (Get-ObserveFolder) }
        'vaults' = {
            param ($probe)
            if ($Question.vaults) {
                Read-ObserveVault -Probe $probe -Folder (Get-ObserveFolder) -Vault $Question.vaults
            }
        }
        'quarantine' = {
            param ($probe)
            if ($Question.stores) {
                Read-ObserveQuarantine -Probe $probe -Folder (Get-ObserveFolder) -Store $Question.stores
            }
        }
        'egress' = { param ($probe) Read-ObserveEgress -Probe $probe -Endpoint $Question.endpoints -Proxy $proxy }
    }
    foreach ($name in @($scripts.Keys)) {
        $answers[$name] = Invoke-ObserveProbe -Timeout $script:Patience -Script $scripts[$name]
    }
}

Export-ModuleMember -Function @(
    'Add-ObservePreflight'
)
