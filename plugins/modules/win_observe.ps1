#!powershell
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

#AnsibleRequires -CSharpUtil Ansible.Basic
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

$spec = @{
    options = @{
        appx = @{
            type = 'list'
            elements = 'str'
            default = @()
        }
        certificates = @{
            type = 'list'
            elements = 'str'
            default = @()
        }
        class_filters = @{
            type = 'list'
            elements = 'str'
            default = @()
        }
        drivers = @{
            type = 'list'
            elements = 'str'
            required = $true
        }
        extensions = @{
            type = 'list'
            elements = 'str'
            default = @()
        }
        firewall_rules = @{
            type = 'list'
            elements = 'str'
            default = @()
        }
        hives = @{
            type = 'list'
            elements = 'str'
            default = @()
        }
        minifilters = @{
            type = 'list'
            elements = 'str'
            default = @()
        }
        network = @{
            type = 'list'
            elements = 'str'
            default = @()
        }
        paths = @{
            type = 'list'
            elements = 'str'
            required = $true
        }
        processes = @{
            type = 'list'
            elements = 'str'
            required = $true
        }
        product_codes = @{
            type = 'list'
            elements = 'str'
            default = @()
        }
        registry_roots = @{
            type = 'list'
            elements = 'str'
            required = $true
        }
        registry_values = @{
            type = 'list'
            elements = 'str'
            default = @()
        }
        reinstall = @{
            type = 'list'
            elements = 'str'
            default = @()
        }
        services = @{
            type = 'list'
            elements = 'str'
            required = $true
        }
        tasks = @{
            type = 'list'
            elements = 'str'
            default = @()
        }
        timeout = @{
            type = 'int'
            default = 60
        }
        uninstall = @{
            type = 'list'
            elements = 'str'
            required = $true
        }
        user_registry_roots = @{
            type = 'list'
            elements = 'str'
            default = @()
        }
    }
    supports_check_mode = $true
}
# The code page of the transport is not in our hands (ansible-core 2.16 leaves it to chcp.com), so the answer is ASCII.
[Ansible.Basic.AnsibleModule]::WriteLine = {
    param ($line)
    [Console]::WriteLine([ansible_collections.evict.kaspersky.plugins.module_utils._ObserveNative.Json]::ToAscii($line))
}
$module = [Ansible.Basic.AnsibleModule]::Create($args, $spec)

$literals = @{}
foreach ($name in @($spec.options.Keys)) {
    if ($name -eq 'timeout') {
        continue
    }
    $literals[$name] = @($module.Params.$name)
    foreach ($literal in $literals[$name]) {
        # An empty literal would match everything on the host.
        if ([string]::IsNullOrWhiteSpace($literal)) {
            $module.FailJson("${name}: a literal must not be empty")
        }
    }
}
$timeout = $module.Params.timeout
if ($timeout -lt 1) {
    $module.FailJson('timeout: must be 1 or more seconds')
}

# Reasons and numbers in one form, whatever the language of this Windows.
$invariant = [System.Globalization.CultureInfo]::InvariantCulture
[System.Threading.Thread]::CurrentThread.CurrentCulture = $invariant
[System.Threading.Thread]::CurrentThread.CurrentUICulture = $invariant

# All probes together may take so many times the time of one.
$most = 5 * $timeout
$watch = [System.Diagnostics.Stopwatch]::StartNew()
$elevated = 'unknown'
$codes = @($literals.uninstall) + @($literals.product_codes)
# Each file of a user's hive that is not loaded is read once, for all probes.
foreach ($words in @($literals.hives, $literals.extensions, $literals.reinstall)) {
    Add-ObserveHiveWord -Literal $words
}
Add-ObserveHiveWord -Literal $literals.certificates -Certificate
Add-ObserveHiveWord -Root $literals.user_registry_roots

$probes = @{}
$probes['host'] = Invoke-ObserveProbe -Timeout $timeout -Script { param ($probe) Read-ObserveHost -Probe $probe }
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
        Read-ObserveService -Probe $probe -Folder (Get-ObserveFolder) -Literal $literals.services
    }
    'drivers' = {
        param ($probe)
        Read-ObserveService -Probe $probe -Folder (Get-ObserveFolder) -Literal $literals.drivers -Driver
    }
    'registry.machine' = {
        param ($probe)
        Read-ObserveMachineTree -Probe $probe -Root $literals.registry_roots -ValueName $literals.registry_values
    }
    'processes' = { param ($probe) Read-ObserveProcess -Probe $probe -Literal $literals.processes -Elevated $elevated }
    'paths' = { param ($probe) Read-ObservePath -Probe $probe -Folder (Get-ObserveFolder) -Literal $literals.paths }
    'minifilters' = { param ($probe) Read-ObserveMinifilter -Probe $probe -Literal $literals.minifilters }
    'class_filters' = { param ($probe) Read-ObserveClassFilter -Probe $probe -Literal $literals.class_filters }
    'firewall_rules' = { param ($probe) Read-ObserveFirewallRule -Probe $probe -Literal $literals.firewall_rules }
    'network' = { param ($probe) Read-ObserveNetwork -Probe $probe -Literal $literals.network }
    'reboot' = { param ($probe) Read-ObserveReboot -Probe $probe }
    'roles' = { param ($probe) Read-ObserveRole -Probe $probe }
    'sessions' = { param ($probe) Read-ObserveSession -Probe $probe }
    'registry.users' = {
        param ($probe)
        Read-ObserveUserHive -Probe $probe -Root $literals.user_registry_roots -ValueName $literals.registry_values
    }
    'uninstall.users' = { param ($probe) Read-ObserveUserHive -Probe $probe -Literal $codes -HiveLiteral $literals.hives }
    'certificates' = { param ($probe) Read-ObserveCertificate -Probe $probe -Literal $literals.certificates }
    'tasks' = { param ($probe) Read-ObserveTask -Probe $probe -Folder (Get-ObserveFolder) -Literal $literals.tasks }
    'appx' = { param ($probe) Read-ObserveAppx -Probe $probe -Folder (Get-ObserveFolder) -Literal $literals.appx }
    'extensions' = {
        param ($probe)
        Read-ObserveExtension -Probe $probe -Folder (Get-ObserveFolder) -Literal $literals.extensions
    }
    'reinstall' = {
        param ($probe)
        Read-ObserveReinstall -Probe $probe -Folder (Get-ObserveFolder) -Literal $literals.reinstall
    }
    'encryption' = { param ($probe) Read-ObserveEncryption -Probe $probe }
    'protection' = { param ($probe) Read-ObserveProtection -Probe $probe }
}
foreach ($name in @($scripts.Keys)) {
    if ($name -eq 'registry.users') {
        # For this probe and those after it. What goes wrong here, each of them finds again and says.
        $left = [int][Math]::Max(1, [Math]::Min(2 * $timeout, $most - $watch.Elapsed.TotalSeconds))
        [void](Invoke-ObserveProbe -Timeout $left -Script { param ($probe) Read-ObserveUnloadedHive -Probe $probe })
    }
    $left = [int][Math]::Max(1, [Math]::Min($timeout, $most - $watch.Elapsed.TotalSeconds))
    $probes[$name] = Invoke-ObserveProbe -Timeout $left -Script $scripts[$name]
}

$module.Result.observation = @{
    schema = 'evict.kaspersky/observation/1'
    platform = 'windows'
    collector = 'powershell'
    host = $hostRecord
    probes = $probes
}
$module.ExitJson()
