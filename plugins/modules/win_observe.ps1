#!powershell
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

#AnsibleRequires -CSharpUtil Ansible.Basic
#AnsibleRequires -CSharpUtil ..module_utils._ObserveNative
#AnsibleRequires -PowerShell ..module_utils._observe_run

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

$module.Result.observation = Invoke-ObserveAll -Literal $literals -Timeout $timeout
$module.ExitJson()
