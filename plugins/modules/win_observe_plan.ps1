#!powershell
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

#AnsibleRequires -CSharpUtil Ansible.Basic
#AnsibleRequires -CSharpUtil ..module_utils._ObserveNative
#AnsibleRequires -PowerShell ..module_utils._observe_run
#AnsibleRequires -PowerShell ..module_utils._observe_preflight_run

# A module of its own: an audit carries nothing of what only a plan asks for.
$spec = @{
    options = @{
        observe = @{
            type = 'dict'
            required = $true
        }
        preflight = @{
            type = 'dict'
            required = $true
            options = @{
                codes = @{
                    type = 'list'
                    elements = 'str'
                    default = @()
                }
                endpoints = @{
                    type = 'list'
                    elements = 'str'
                    default = @()
                }
                ports = @{
                    type = 'list'
                    elements = 'int'
                    default = @()
                }
                proxy = @{
                    type = 'list'
                    elements = 'str'
                    default = @()
                }
                stores = @{
                    type = 'list'
                    elements = 'str'
                    default = @()
                }
                vaults = @{
                    type = 'list'
                    elements = 'str'
                    default = @()
                }
            }
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

$names = @(
    'appx', 'certificates', 'class_filters', 'drivers', 'extensions', 'firewall_rules', 'hives', 'minifilters', 'network', 'paths'
    'processes', 'product_codes', 'registry_roots', 'registry_values', 'reinstall', 'services', 'tasks', 'uninstall'
    'user_registry_roots'
)
$observe = $module.Params.observe
foreach ($name in @($observe.Keys)) {
    if ($name -ne 'timeout' -and $names -notcontains $name) {
        $module.FailJson("observe: win_observe has no option $name")
    }
}
$literals = @{}
foreach ($name in $names) {
    $literals[$name] = if ($observe.ContainsKey($name)) { @($observe[$name]) } else { @() }
}
$preflight = @{}
foreach ($name in @($spec.options.preflight.options.Keys)) {
    $preflight[$name] = @($module.Params.preflight[$name])
}
foreach ($table in @($literals, $preflight)) {
    foreach ($name in @($table.Keys)) {
        foreach ($literal in $table[$name]) {
            # An empty literal would match everything on the host.
            if ([string]::IsNullOrWhiteSpace([string]$literal)) {
                $module.FailJson("${name}: a literal must not be empty")
            }
        }
    }
}
foreach ($port in $preflight.ports) {
    if ($port -lt 1 -or $port -gt 65535) {
        $module.FailJson("ports: $port is no port")
    }
}
$timeout = 60
if ($observe.ContainsKey('timeout')) {
    $timeout = [int]$observe.timeout
}
if ($timeout -lt 1) {
    $module.FailJson('timeout: must be 1 or more seconds')
}

$observation = Invoke-ObserveAll -Literal $literals -Timeout $timeout
Add-ObservePreflight -Observation $observation -Question $preflight
$module.Result.observation = $observation
$module.ExitJson()
