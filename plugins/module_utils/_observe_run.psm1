# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection; may change without notice.
# All probes of win_observe, in their order and each within its time.

#AnsibleRequires -CSharpUtil ..module_utils._ObserveHive
#AnsibleRequires -CSharpUtil ..module_utils._ObserveNative
#AnsibleRequires -PowerShell ..module_utils._observe_core
#AnsibleRequires -PowerShell ..module_utils._observe_registry
#AnsibleRequires -PowerShell ..module_utils._observe_files
#AnsibleRequires -PowerShell ..module_utils._observe_hives
#AnsibleRequires -PowerShell ..module_utils._observe_cim
#AnsibleRequires -PowerShell ..module_utils._observe_products
#AnsibleRequires -PowerShell ..module_utils._observe_services
#AnsibleRequires -PowerShell ..module_utils._observe_host
#AnsibleRequires -PowerShell ..module_utils._observe_filters
#AnsibleRequires -PowerShell ..module_utils._observe_trust
#AnsibleRequires -PowerShell ..module_utils._observe_tasks
#AnsibleRequires -PowerShell ..module_utils._observe_apps
#AnsibleRequires -PowerShell ..module_utils._observe_startup
#AnsibleRequires -PowerShell ..module_utils._observe_protection
#AnsibleRequires -PowerShell ..module_utils._observe_context

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

Function Invoke-ObserveAll {
    <#
    .SYNOPSIS
    Ask everything and return the observation.
    .PARAMETER Literal
    Name of an option of win_observe -> its texts; all options but timeout.
    #>
    [OutputType([hashtable])]
    param (
        [hashtable]$Literal,
        [int]$Timeout
    )

    # Reasons and numbers in one form, whatever the language of this Windows.
    $invariant = [System.Globalization.CultureInfo]::InvariantCulture
    [System.Threading.Thread]::CurrentThread.CurrentCulture = $invariant
    [System.Threading.Thread]::CurrentThread.CurrentUICulture = $invariant

    # All probes together may take so many times the time of one.
    $most = 5 * $Timeout
    $watch = [System.Diagnostics.Stopwatch]::StartNew()
    $elevated = 'unknown'
    $codes = @($Literal.uninstall) + @($Literal.product_codes)
    # Each file of a user's hive that is not loaded is read once, for all probes.
    foreach ($words in @($Literal.hives, $Literal.extensions, $Literal.reinstall)) {
        Add-ObserveHiveWord -Literal $words
    }
    Add-ObserveHiveWord -Literal $Literal.certificates -Certificate
    Add-ObserveHiveWord -Root $Literal.user_registry_roots

    $probes = @{}
    $probes['host'] = Invoke-ObserveProbe -Timeout $Timeout -Script { param ($probe) Read-ObserveHost -Probe $probe }
    $hostRecord = @{}
    if ($probes['host'].records.Count -gt 0) {
        $hostRecord = $probes['host'].records[0]
        $elevated = $hostRecord['elevated']
    }
    # In this order: what takes longest comes last, so that a slow host still answers the rest.
    $scripts = [ordered]@{
        'uninstall.machine' = { param ($probe) Read-ObserveUninstall -Probe $probe -Literal $codes }
        'services' = {
            param ($probe)
            Read-ObserveService -Probe $probe -Folder (Get-ObserveFolder) -Literal $Literal.services
        }
        'drivers' = {
            param ($probe)
            Read-ObserveService -Probe $probe -Folder (Get-ObserveFolder) -Literal $Literal.drivers -Driver
        }
        'registry.machine' = {
            param ($probe)
            Read-ObserveMachineTree -Probe $probe -Root $Literal.registry_roots -ValueName $Literal.registry_values
        }
        'processes' = { param ($probe) Read-ObserveProcess -Probe $probe -Literal $Literal.processes -Elevated $elevated }
        'paths' = { param ($probe) Read-ObservePath -Probe $probe -Folder (Get-ObserveFolder) -Literal $Literal.paths }
        'minifilters' = { param ($probe) Read-ObserveMinifilter -Probe $probe -Literal $Literal.minifilters }
        'class_filters' = { param ($probe) Read-ObserveClassFilter -Probe $probe -Literal $Literal.class_filters }
        'firewall_rules' = { param ($probe) Read-ObserveFirewallRule -Probe $probe -Literal $Literal.firewall_rules }
        'network' = { param ($probe) Read-ObserveNetwork -Probe $probe -Literal $Literal.network }
        'reboot' = { param ($probe) Read-ObserveReboot -Probe $probe }
        'roles' = { param ($probe) Read-ObserveRole -Probe $probe }
        'sessions' = { param ($probe) Read-ObserveSession -Probe $probe }
        'registry.users' = {
            param ($probe)
            Read-ObserveUserHive -Probe $probe -Root $Literal.user_registry_roots -ValueName $Literal.registry_values
        }
        'uninstall.users' = { param ($probe) Read-ObserveUserHive -Probe $probe -Literal $codes -HiveLiteral $Literal.hives }
        'certificates' = { param ($probe) Read-ObserveCertificate -Probe $probe -Literal $Literal.certificates }
        'tasks' = { param ($probe) Read-ObserveTask -Probe $probe -Folder (Get-ObserveFolder) -Literal $Literal.tasks }
        'appx' = { param ($probe) Read-ObserveAppx -Probe $probe -Folder (Get-ObserveFolder) -Literal $Literal.appx }
        'extensions' = {
            param ($probe)
            Read-ObserveExtension -Probe $probe -Folder (Get-ObserveFolder) -Literal $Literal.extensions
        }
        'reinstall' = {
            param ($probe)
            Read-ObserveReinstall -Probe $probe -Folder (Get-ObserveFolder) -Literal $Literal.reinstall
        }
        'encryption' = { param ($probe) Read-ObserveEncryption -Probe $probe }
        'protection' = { param ($probe) Read-ObserveProtection -Probe $probe }
    }
    foreach ($name in @($scripts.Keys)) {
        if ($name -eq 'registry.users') {
            # For this probe and those after it. What goes wrong here, each of them finds again and says.
            $left = [int][Math]::Max(1, [Math]::Min(2 * $Timeout, $most - $watch.Elapsed.TotalSeconds))
            [void](Invoke-ObserveProbe -Timeout $left -Script { param ($probe) Read-ObserveUnloadedHive -Probe $probe })
        }
        $left = [int][Math]::Max(1, [Math]::Min($Timeout, $most - $watch.Elapsed.TotalSeconds))
        $probes[$name] = Invoke-ObserveProbe -Timeout $left -Script $scripts[$name]
    }

    @{
        schema = 'evict.kaspersky/observation/1'
        platform = 'windows'
        collector = 'powershell'
        host = $hostRecord
        probes = $probes
    }
}

Export-ModuleMember -Function @(
    'Invoke-ObserveAll'
)
