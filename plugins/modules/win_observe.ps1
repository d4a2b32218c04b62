#!powershell
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

#AnsibleRequires -CSharpUtil Ansible.Basic
#AnsibleRequires -CSharpUtil ..module_utils._ObserveNative
#AnsibleRequires -PowerShell ..module_utils._observe_core
#AnsibleRequires -PowerShell ..module_utils._observe_registry
#AnsibleRequires -PowerShell ..module_utils._observe_products
#AnsibleRequires -PowerShell ..module_utils._observe_files
#AnsibleRequires -PowerShell ..module_utils._observe_services
#AnsibleRequires -PowerShell ..module_utils._observe_host

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
        reinstall = @{
            type = 'list'
            elements = 'str'
            default = @()
        }
        tasks = @{
            type = 'list'
            elements = 'str'
            default = @()
        }
        drivers = @{
            type = 'list'
            elements = 'str'
            required = $true
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
        services = @{
            type = 'list'
            elements = 'str'
            required = $true
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

$elevated = 'unknown'
$codes = @($literals.uninstall) + @($literals.product_codes)

$probes = @{}
$probes['host'] = Invoke-ObserveProbe -Timeout $timeout -Script { param ($probe) Read-ObserveHost -Probe $probe }
$hostRecord = @{}
if ($probes['host'].records.Count -gt 0) {
    $hostRecord = $probes['host'].records[0]
    $elevated = $hostRecord['elevated']
}
$scripts = @{
    'uninstall.machine' = { param ($probe) Read-ObserveUninstall -Probe $probe -Literal $codes }
    'uninstall.users' = { param ($probe) Read-ObserveUserHive -Probe $probe -Literal $codes }
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
    'registry.users' = {
        param ($probe)
        Read-ObserveUserHive -Probe $probe -Root $literals.user_registry_roots -ValueName $literals.registry_values
    }
    'processes' = { param ($probe) Read-ObserveProcess -Probe $probe -Literal $literals.processes -Elevated $elevated }
    'paths' = { param ($probe) Read-ObservePath -Probe $probe -Folder (Get-ObserveFolder) -Literal $literals.paths }
}
foreach ($name in @($scripts.Keys)) {
    $probes[$name] = Invoke-ObserveProbe -Timeout $timeout -Script $scripts[$name]
}

$module.Result.observation = @{
    schema = 'evict.kaspersky/observation/1'
    platform = 'windows'
    collector = 'powershell'
    host = $hostRecord
    probes = $probes
}
$module.ExitJson()
