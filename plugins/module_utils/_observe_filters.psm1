# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection; may change without notice.
# What hooks into the system, for win_observe: file system minifilters, filters of device classes, components of the
# network. The registry is the first source: what is registered there comes back with the next start.

#AnsibleRequires -CSharpUtil ..module_utils._ObserveNative
#AnsibleRequires -PowerShell ..module_utils._observe_core
#AnsibleRequires -PowerShell ..module_utils._observe_registry

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$script:ServicesKey = 'SYSTEM\CurrentControlSet\Services'
$script:ClassKey = 'SYSTEM\CurrentControlSet\Control\Class'
$script:NetworkKey = 'SYSTEM\CurrentControlSet\Control\Network'
$script:PolicyKey = 'SYSTEM\CurrentControlSet\Services\BFE\Parameters\Policy'
$script:AdapterClass = '{4D36E972-E325-11CE-BFC1-08002BE10318}'
# Class of network component -> kind of the record.
$script:NetworkClasses = @{
    '{4D36E973-E325-11CE-BFC1-08002BE10318}' = 'protocol'
    '{4D36E974-E325-11CE-BFC1-08002BE10318}' = 'ndis'
    '{4D36E975-E325-11CE-BFC1-08002BE10318}' = 'protocol'
}
$script:PlatformKeys = @('Provider', 'SubLayer', 'Callout', 'Filter')

Function Get-ObserveLoadedMinifilter {
    <#
    .SYNOPSIS
    What the filter manager has loaded: name -> altitude; $null when it does not answer.
    #>
    [OutputType([hashtable])]
    param ()

    $type = 'ansible_collections.evict.kaspersky.plugins.module_utils._ObserveNative.FilterManager' -as [type]
    if ($null -eq $type) {
        return $null
    }
    $found = @{}
    try {
        $answer = $type::Loaded()
        foreach ($name in @($answer.Keys)) {
            $found[$name] = $answer[$name]
        }
    }
    catch {
        # No administrator, or no filter manager here. The registry is complete without it.
        return $null
    }
    $found
}

$script:ReadInstance = {
    param ($Probe, $Key, $Label, $Context)

    $altitude = ConvertTo-ObserveText -Value (Get-ObserveValue -Key $Key -Name 'Altitude')
    if ($Context.loaded.ContainsKey($Context.service)) {
        $Context.seen[$Context.service] = $true
    }
    Add-ObserveRecord -Probe $Probe -Record @{
        name = $Context.service
        altitude = $altitude
        instance = $Context.name
        state = if ($Context.loaded.ContainsKey($Context.service)) { 'loaded' } else { 'registered' }
    }
}

Function Read-ObserveMinifilter {
    <#
    .SYNOPSIS
    Probe minifilters: the instances of services whose name holds a literal, and what is loaded under such a name.
    #>
    param (
        [hashtable]$Probe,
        [AllowEmptyCollection()][object[]]$Literal
    )

    $filter = New-ObserveFilter -Literal $Literal
    if ($null -eq $filter) {
        return
    }
    $answer = Get-ObserveLoadedMinifilter
    $loaded = New-Object -TypeName System.Collections.Hashtable -ArgumentList ([System.StringComparer]::OrdinalIgnoreCase)
    if ($null -ne $answer) {
        foreach ($name in @($answer.Keys)) {
            $loaded[$name] = $answer[$name]
        }
    }
    $context = @{ filter = $filter; loaded = $loaded; seen = @{} }
    Read-ObserveMachineKey -Probe $Probe -Path $script:ServicesKey -Context $context -Listed -Script {
        param ($Probe, $Key, $Label, $Context)

        Read-ObserveChildKey -Probe $Probe -Key $Key -Label $Label -Filter $Context.filter -Context $Context -Script {
            param ($Probe, $Key, $Label, $Context)

            $one = $Context.Clone()
            $one.service = $Context.name
            # Since Windows 11 the instances of some filters lie below Parameters.
            foreach ($place in @('Instances', 'Parameters\Instances')) {
                Use-ObserveSubKey -Probe $Probe -Key $Key -Name $place -Label "$Label\$place" -Context $one -Script {
                    param ($Probe, $Key, $Label, $Context)

                    Read-ObserveChildKey -Probe $Probe -Key $Key -Label $Label -Context $Context -Script $script:ReadInstance
                }
            }
        }
    }
    foreach ($name in @($loaded.Keys | Sort-Object)) {
        if ($filter.IsMatch($name) -and -not $context.seen.ContainsKey($name)) {
            Add-ObserveRecord -Probe $Probe -Record @{ name = $name; altitude = $loaded[$name]; instance = ''; state = 'loaded' }
        }
    }
}

Function Read-ObserveClassFilter {
    <#
    .SYNOPSIS
    Probe class_filters: names with a literal in the filters of device classes. Filters of single devices (Enum) are not
    looked at: tens of thousands of keys, and what sits there is found as a driver.
    #>
    param (
        [hashtable]$Probe,
        [AllowEmptyCollection()][object[]]$Literal
    )

    $filter = New-ObserveFilter -Literal $Literal
    if ($null -eq $filter) {
        return
    }
    Read-ObserveMachineKey -Probe $Probe -Path $script:ClassKey -Context @{ filter = $filter } -Listed -Script {
        param ($Probe, $Key, $Label, $Context)

        Read-ObserveChildKey -Probe $Probe -Key $Key -Label $Label -Context $Context -Script {
            param ($Probe, $Key, $Label, $Context)

            foreach ($position in @('Upper', 'Lower')) {
                $names = Get-ObserveValue -Key $Key -Name "${position}Filters"
                foreach ($name in @($names)) {
                    if ($name -is [string] -and $Context.filter.IsMatch($name)) {
                        Add-ObserveRecord -Probe $Probe -Record @{
                            class = $Context.name
                            class_name = Get-ObserveValue -Key $Key -Name 'Class'
                            filter = $name
                            position = $position.ToLowerInvariant()
                        }
                    }
                }
            }
        }
    }
}

$script:ReadComponent = {
    param ($Probe, $Key, $Label, $Context)

    $id = ConvertTo-ObserveText -Value (Get-ObserveValue -Key $Key -Name 'ComponentId')
    $name = ConvertTo-ObserveText -Value (Get-ObserveValue -Key $Key -Name $Context.title)
    $found = @{ service = '' }
    Use-ObserveSubKey -Probe $Probe -Key $Key -Name 'Ndi' -Label "$Label\Ndi" -Context $found -Script {
        param ($Probe, $Key, $Label, $Context)

        $Context.service = ConvertTo-ObserveText -Value (Get-ObserveValue -Key $Key -Name 'Service')
    }
    if (Test-ObserveFilter -Filter $Context.filter -Text @($id, $name, $found.service)) {
        Add-ObserveRecord -Probe $Probe -Record @{ kind = $Context.kind; id = $id; name = $name; service = $found.service }
    }
}

Function Get-ObserveBinaryText {
    <#
    .SYNOPSIS
    The text around the first match in binary data that holds UTF-16 at any place; '' when there is none.
    #>
    [OutputType([string])]
    param (
        [AllowEmptyCollection()][byte[]]$Data,
        [regex]$Filter
    )

    foreach ($start in @(0, 1)) {
        if ($Data.Length -le $start) {
            continue
        }
        $text = [System.Text.Encoding]::Unicode.GetString($Data, $start, $Data.Length - $start)
        $match = $Filter.Match($text)
        if (-not $match.Success) {
            continue
        }
        $first = $match.Index
        while ($first -gt 0 -and -not [char]::IsControl($text[$first - 1])) {
            $first--
        }
        $last = $match.Index + $match.Length
        while ($last -lt $text.Length -and -not [char]::IsControl($text[$last])) {
            $last++
        }
        return $text.Substring($first, $last - $first)
    }
    ''
}

$script:ReadPolicy = {
    param ($Probe, $Key, $Label, $Context)

    foreach ($name in @($Key.GetValueNames())) {
        Assert-ObserveTime -Probe $Probe
        $data = Get-ObserveValue -Key $Key -Name $name
        if ($data -is [byte[]]) {
            $text = Get-ObserveBinaryText -Data $data -Filter $Context.filter
            if ($text) {
                Add-ObserveRecord -Probe $Probe -Record @{ kind = 'wfp'; id = $name; name = $text; service = '' }
            }
        }
    }
}

Function Read-ObserveNetwork {
    <#
    .SYNOPSIS
    Probe network: filters, protocols and adapters of NDIS, and the stored objects of the filtering platform. What a driver
    adds to that platform while it runs is not stored; the driver is found as such.
    #>
    param (
        [hashtable]$Probe,
        [AllowEmptyCollection()][object[]]$Literal
    )

    $filter = New-ObserveFilter -Literal $Literal
    if ($null -eq $filter) {
        return
    }
    foreach ($class in @($script:NetworkClasses.Keys | Sort-Object)) {
        $context = @{ filter = $filter; kind = $script:NetworkClasses[$class]; title = 'Description' }
        Read-ObserveMachineKey -Probe $Probe -Path "$script:NetworkKey\$class" -Context $context -Script {
            param ($Probe, $Key, $Label, $Context)

            Read-ObserveChildKey -Probe $Probe -Key $Key -Label $Label -Context $Context -Script $script:ReadComponent
        }
    }
    $context = @{ filter = $filter; kind = 'ndis'; title = 'DriverDesc'; digits = [regex]'^\d{4}$' }
    Read-ObserveMachineKey -Probe $Probe -Path "$script:ClassKey\$script:AdapterClass" -Context $context -Script {
        param ($Probe, $Key, $Label, $Context)

        # "Properties" and "Configuration" beside the adapters are closed to everybody.
        $arguments = @{ Probe = $Probe; Key = $Key; Label = $Label; Context = $Context; Filter = $Context.digits }
        Read-ObserveChildKey @arguments -Script $script:ReadComponent
    }
    foreach ($part in @('Persistent', 'BootTime')) {
        foreach ($name in $script:PlatformKeys) {
            $path = "$script:PolicyKey\$part\$name"
            Read-ObserveMachineKey -Probe $Probe -Path $path -Context @{ filter = $filter } -Script $script:ReadPolicy
        }
    }
}

Export-ModuleMember -Function @(
    'Get-ObserveBinaryText'
    'Get-ObserveLoadedMinifilter'
    'Read-ObserveClassFilter'
    'Read-ObserveMinifilter'
    'Read-ObserveNetwork'
)
