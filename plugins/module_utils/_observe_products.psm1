# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection; may change without notice.
# The registry probes of win_observe: what is registered for removal, the vendor's keys, and both for every loaded user
# hive. Keys are opened for reading only; no hive is ever loaded.

#AnsibleRequires -PowerShell ..module_utils._observe_core
#AnsibleRequires -PowerShell ..module_utils._observe_registry
#AnsibleRequires -PowerShell ..module_utils._observe_hives

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$script:MaxDepth = 5
$script:UninstallKey = 'Microsoft\Windows\CurrentVersion\Uninstall'
$script:UninstallValues = @(
    'DisplayName'
    'Publisher'
    'DisplayVersion'
    'InstallLocation'
    'UninstallString'
    'QuietUninstallString'
    'SystemComponent'
)
# The two places of one hive: HKEY_USERS has no views of its own, 32-bit programs write below Wow6432Node there.
$script:UserSoftware = @(
    @{ view = '64'; prefix = 'Software\' }
    @{ view = '32'; prefix = 'Software\Wow6432Node\' }
)

$script:ReadUninstallEntry = {
    param ($Probe, $Key, $Label, $Context)

    $value = @{}
    foreach ($name in $script:UninstallValues) {
        try {
            # Matched before it is cut to its longest length.
            $raw = Get-ObserveValue -Key $Key -Name $name
            $value[$name] = if ($raw -is [string]) { $raw } else { ConvertTo-ObserveText -Value $raw }
        }
        catch {
            $value[$name] = ''
            $why = Get-ObserveReason -Exception $_.Exception
            Add-ObserveProblem -Probe $Probe -Problem ('{0}\{1}: {2}' -f $Label, $name, $why)
        }
    }
    $texts = @(
        $Context.name
        $value.DisplayName
        $value.Publisher
        $value.InstallLocation
        $value.UninstallString
    )
    if (-not (Test-ObserveFilter -Filter $Context.filter -Text $texts)) {
        return
    }
    $record = @{
        view = $Context.view
        key = $Context.name
        name = $value.DisplayName
        publisher = $value.Publisher
        version = $value.DisplayVersion
        location = $value.InstallLocation
        uninstall = $value.UninstallString
        quiet_uninstall = $value.QuietUninstallString
        system_component = $value.SystemComponent
    }
    if ($Context.sid) {
        $record.sid = $Context.sid
    }
    Add-ObserveRecord -Probe $Probe -Record $record
}

$script:ReadUninstallList = {
    param ($Probe, $Key, $Label, $Context)

    foreach ($name in @(Get-ObserveSubKeyName -Probe $Probe -Key $Key -Label $Label)) {
        $arguments = @{
            Probe = $Probe
            Key = $Key
            Name = $name
            Label = "$Label\$name"
            Script = $script:ReadUninstallEntry
            Context = @{ name = $name; view = $Context.view; sid = $Context.sid; filter = $Context.filter }
        }
        Use-ObserveSubKey @arguments -Listed
    }
}

Function Read-ObserveUninstall {
    <#
    .SYNOPSIS
    Probe uninstall.machine: the Uninstall key in both views. A view without that key simply has no programs.
    #>
    param (
        [hashtable]$Probe,
        [AllowEmptyCollection()][object[]]$Literal
    )

    $filter = New-ObserveFilter -Literal $Literal
    foreach ($view in @(Get-ObserveView)) {
        $base = Open-ObserveBaseKey -Hive LocalMachine -View $view
        try {
            $arguments = @{
                Probe = $Probe
                Key = $base
                Name = "SOFTWARE\$script:UninstallKey"
                Label = "HKLM\SOFTWARE\$script:UninstallKey ($view-bit)"
                Script = $script:ReadUninstallList
                Context = @{ view = $view; sid = ''; filter = $filter }
            }
            Use-ObserveSubKey @arguments
        }
        finally {
            $base.Dispose()
        }
    }
}

$script:ReadKey = {
    param ($Probe, $Key, $Label, $Context)

    $item = $Context.item
    $record = $item.place.template.Clone()
    $record.key = $item.relative
    $present = @($Key.GetValueNames())
    foreach ($name in $Context.values) {
        # The catalog's spelling goes into the record, whatever the case in this registry.
        if ($name.StartsWith('?')) {
            # A secret: whether there is one may be known, what it is may not.
            $name = $name.Substring(1)
            if ($present -contains $name) {
                $secret = Get-ObserveValue -Key $Key -Name $name
                $record["value.$name"] = if ($null -eq $secret -or @($secret).Count -eq 0 -or "$secret" -eq '') { 'empty' } else { 'set' }
                $secret = $null
            }
        }
        elseif ($present -contains $name) {
            $record["value.$name"] = Get-ObserveValue -Key $Key -Name $name
        }
    }
    Add-ObserveRecord -Probe $Probe -Record $record
    if ($item.depth -lt $script:MaxDepth) {
        foreach ($name in @(Get-ObserveSubKeyName -Probe $Probe -Key $Key -Label $Label)) {
            $relative = if ($item.relative) { '{0}\{1}' -f $item.relative, $name } else { $name }
            $Context.queue.Enqueue(@{ place = $item.place; relative = $relative; depth = $item.depth + 1 })
        }
    }
}

Function Read-ObserveTree {
    <#
    .SYNOPSIS
    The keys at and below several places, nearest first over all of them, so that the cap on records cuts off the deepest
    keys only, and a big tree in one place hides none of the others.
    .PARAMETER Place
    Hashtables: base (an open key), path (below it), label (for reasons), template (what each record starts with).
    #>
    param (
        [hashtable]$Probe,
        [AllowEmptyCollection()][object[]]$Place,
        [AllowEmptyCollection()][object[]]$ValueName
    )

    $queue = New-Object -TypeName System.Collections.Queue
    foreach ($one in $Place) {
        $queue.Enqueue(@{ place = $one; relative = ''; depth = 0 })
    }
    while ($queue.Count -gt 0) {
        $item = $queue.Dequeue()
        $tail = if ($item.relative) { "\$($item.relative)" } else { '' }
        $arguments = @{
            Probe = $Probe
            Key = $item.place.base
            Name = "$($item.place.path)$tail"
            Label = "$($item.place.label)$tail"
            Script = $script:ReadKey
            Context = @{ item = $item; values = $ValueName; queue = $queue }
            Listed = [bool]$item.relative
        }
        Use-ObserveSubKey @arguments
    }
}

Function Read-ObserveMachineTree {
    <#
    .SYNOPSIS
    Probe registry.machine: the given roots below HKLM, in both views.
    #>
    param (
        [hashtable]$Probe,
        [AllowEmptyCollection()][object[]]$Root,
        [AllowEmptyCollection()][object[]]$ValueName
    )

    $bases = New-Object -TypeName System.Collections.ArrayList
    try {
        $places = foreach ($view in @(Get-ObserveView)) {
            $base = Open-ObserveBaseKey -Hive LocalMachine -View $view
            [void]$bases.Add($base)
            foreach ($path in $Root) {
                @{
                    base = $base
                    path = $path
                    label = "HKLM\$path ($view-bit)"
                    template = @{ root = $path; view = $view; sid = '' }
                }
            }
        }
        Read-ObserveTree -Probe $Probe -Place @($places) -ValueName $ValueName
    }
    finally {
        foreach ($base in $bases) {
            $base.Dispose()
        }
    }
}

Function Read-ObserveUserHive {
    <#
    .SYNOPSIS
    Probes uninstall.users (-Literal) and registry.users (-Root): every loaded hive is read; the files of the others are looked
    through for the literals.
    .PARAMETER HiveLiteral
    Texts of which a file must hold one if it holds an entry; the literals themselves when there are none.
    #>
    param (
        [hashtable]$Probe,
        [AllowEmptyCollection()][object[]]$Literal = @(),
        [AllowEmptyCollection()][object[]]$HiveLiteral = @(),
        [AllowEmptyCollection()][object[]]$Root = @(),
        [AllowEmptyCollection()][object[]]$ValueName = @()
    )

    if (-not $Literal -and -not $Root) {
        # Nothing to look for: a hive that is not loaded hides nothing.
        return
    }
    $filter = New-ObserveFilter -Literal $Literal
    $users = Open-ObserveBaseKey -Hive Users -View 64
    try {
        $loaded = @(Get-ObserveHive -Users $users)
        # Before the records: a probe that ends early must still name these.
        $texts = if ($HiveLiteral) { $HiveLiteral } else { $Literal }
        Add-ObserveUnloadedHive -Probe $Probe -Loaded $loaded -Literal $texts -Root $Root
        $trees = New-Object -TypeName System.Collections.ArrayList
        foreach ($sid in $loaded) {
            foreach ($place in $script:UserSoftware) {
                if ($Literal) {
                    $list = '{0}\{1}{2}' -f $sid, $place.prefix, $script:UninstallKey
                    $arguments = @{
                        Probe = $Probe
                        Key = $users
                        Name = $list
                        Label = "HKU\$list"
                        Script = $script:ReadUninstallList
                        Context = @{ view = $place.view; sid = $sid; filter = $filter }
                    }
                    Use-ObserveSubKey @arguments
                }
                foreach ($path in $Root) {
                    $real = $path -replace '^Software\\', $place.prefix
                    if ($real -eq $path -and $place.view -eq '32') {
                        # Not below Software: the same key for both kinds of programs.
                        continue
                    }
                    [void]$trees.Add(@{
                            base = $users
                            path = "$sid\$real"
                            label = "HKU\$sid\$real"
                            template = @{ root = $path; view = $place.view; sid = $sid }
                        })
                }
            }
        }
        Read-ObserveTree -Probe $Probe -Place $trees.ToArray() -ValueName $ValueName
    }
    finally {
        $users.Dispose()
    }
}

Export-ModuleMember -Function @(
    'Read-ObserveMachineTree'
    'Read-ObserveUninstall'
    'Read-ObserveUserHive'
)
