# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection; may change without notice.
# How win_observe reads the registry: both views, every key disposed, what cannot be read becomes a problem by name.

#AnsibleRequires -PowerShell ..module_utils._observe_core

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

Function Open-ObserveBaseKey {
    <#
    .SYNOPSIS
    A root key in one view; '64' means the native view whatever the bitness of this PowerShell. The caller disposes.
    #>
    param (
        [ValidateSet('LocalMachine', 'Users')][string]$Hive,
        [ValidateSet('64', '32')][string]$View
    )

    [Microsoft.Win32.RegistryKey]::OpenBaseKey(
        [Microsoft.Win32.RegistryHive]$Hive,
        [Microsoft.Win32.RegistryView]"Registry$View"
    )
}

Function Get-ObserveView {
    <#
    .SYNOPSIS
    The registry views of this machine: a 32-bit Windows has one.
    #>
    [OutputType([string[]])]
    param ()

    if ([System.Environment]::Is64BitOperatingSystem) {
        '64'
    }
    '32'
}

Function Get-ObserveValue {
    <#
    .SYNOPSIS
    A value of a key as it is stored (variables not expanded), or $null.
    #>
    param (
        [object]$Key,
        [string]$Name
    )

    $value = $Key.GetValue($Name, $null, [Microsoft.Win32.RegistryValueOptions]::DoNotExpandEnvironmentNames)
    if ($value -is [array]) {
        # REG_BINARY and REG_MULTI_SZ: as they are, or the pipeline would make other types of them.
        return , $value
    }
    $value
}

Function Get-ObserveMachineValue {
    <#
    .SYNOPSIS
    Some values of one key below HKLM in the native view, as text: name -> text, '' for what is not there.
    #>
    [OutputType([hashtable])]
    param (
        [string]$Path,
        [string[]]$Name
    )

    $found = @{}
    foreach ($value in $Name) {
        $found[$value] = ''
    }
    $base = Open-ObserveBaseKey -Hive LocalMachine -View 64
    try {
        $key = $base.OpenSubKey($Path)
        if ($null -ne $key) {
            try {
                foreach ($value in $Name) {
                    $found[$value] = ConvertTo-ObserveText -Value (Get-ObserveValue -Key $key -Name $value)
                }
            }
            finally {
                $key.Dispose()
            }
        }
    }
    finally {
        $base.Dispose()
    }
    $found
}

Function Use-ObserveSubKey {
    <#
    .SYNOPSIS
    Open a key below another, call the script with it, dispose it. A key that is not there is no problem, unless it was
    just listed (-Listed); one that cannot be read is a problem of the probe, by name, and the probe goes on.
    #>
    param (
        [hashtable]$Probe,
        [object]$Key,
        [AllowEmptyString()][string]$Name,
        [string]$Label,
        [scriptblock]$Script,
        [hashtable]$Context,
        [switch]$Listed
    )

    Assert-ObserveTime -Probe $Probe
    try {
        $sub = $Key.OpenSubKey($Name)
    }
    catch {
        Add-ObserveProblem -Probe $Probe -Problem ('{0}: {1}' -f $Label, (Get-ObserveReason -Exception $_.Exception))
        return
    }
    if ($null -eq $sub) {
        if ($Listed) {
            # Removed a moment ago, or a name that the ordinary interface cannot open (it holds a NUL).
            Add-ObserveProblem -Probe $Probe -Problem ('{0}: listed, but cannot be opened' -f $Label)
        }
        return
    }
    try {
        [void](& $Script $Probe $sub $Label $Context)
    }
    catch {
        if ($Probe.ended) {
            throw
        }
        Add-ObserveProblem -Probe $Probe -Problem ('{0}: {1}' -f $Label, (Get-ObserveReason -Exception $_.Exception))
    }
    finally {
        $sub.Dispose()
    }
}

Function Get-ObserveSubKeyName {
    <#
    .SYNOPSIS
    The names of a key's subkeys; a key that cannot be listed is a problem of the probe.
    #>
    [OutputType([string[]])]
    param (
        [hashtable]$Probe,
        [object]$Key,
        [string]$Label
    )

    try {
        $Key.GetSubKeyNames()
    }
    catch {
        Add-ObserveProblem -Probe $Probe -Problem ('{0}: {1}' -f $Label, (Get-ObserveReason -Exception $_.Exception))
    }
}

Function Get-ObserveKeyValue {
    <#
    .SYNOPSIS
    All values of a key as they are stored: name -> value ('' is the name of the default value). Values that cannot be read
    are a problem of the probe.
    #>
    [OutputType([hashtable])]
    param (
        [hashtable]$Probe,
        [object]$Key,
        [string]$Label
    )

    $found = @{}
    try {
        foreach ($name in @($Key.GetValueNames())) {
            $found[[string]$name] = Get-ObserveValue -Key $Key -Name $name
        }
    }
    catch {
        Add-ObserveProblem -Probe $Probe -Problem ('{0}: {1}' -f $Label, (Get-ObserveReason -Exception $_.Exception))
    }
    $found
}

Function Read-ObserveMachineKey {
    <#
    .SYNOPSIS
    Use-ObserveSubKey for one key below HKLM; one that is not there is no problem.
    #>
    param (
        [hashtable]$Probe,
        [string]$Path,
        [string]$View = '64',
        [scriptblock]$Script,
        [hashtable]$Context = @{},
        [switch]$Listed
    )

    $base = Open-ObserveBaseKey -Hive LocalMachine -View $View
    try {
        $label = if ($View -eq '32') { "HKLM\$Path (32-bit)" } else { "HKLM\$Path" }
        Use-ObserveSubKey -Probe $Probe -Key $base -Name $Path -Label $label -Script $Script -Context $Context -Listed:$Listed
    }
    finally {
        $base.Dispose()
    }
}

Function Read-ObserveChildKey {
    <#
    .SYNOPSIS
    Use-ObserveSubKey for each key below a key; the script's context gets the key's name as "name".
    .PARAMETER Filter
    Only keys whose name it matches are opened.
    #>
    param (
        [hashtable]$Probe,
        [object]$Key,
        [string]$Label,
        [scriptblock]$Script,
        [hashtable]$Context = @{},
        [AllowNull()][regex]$Filter
    )

    foreach ($name in @(Get-ObserveSubKeyName -Probe $Probe -Key $Key -Label $Label)) {
        if ($null -ne $Filter -and -not $Filter.IsMatch($name)) {
            continue
        }
        $one = $Context.Clone()
        $one.name = $name
        Use-ObserveSubKey -Probe $Probe -Key $Key -Name $name -Label "$Label\$name" -Script $Script -Context $one -Listed
    }
}

Function Open-ObserveSoftware {
    <#
    .SYNOPSIS
    Where programs keep settings: the machine's key in each view and those of each user given. Hashtables with key (an open
    base; the caller disposes those with own), path (below it), label, hive and sid.
    #>
    param (
        [object]$Users,
        [AllowEmptyCollection()][string[]]$Sid
    )

    foreach ($view in @(Get-ObserveView)) {
        @{
            key = Open-ObserveBaseKey -Hive LocalMachine -View $view
            own = $true
            path = 'SOFTWARE'
            label = 'HKLM\SOFTWARE\{0}' + $(if ($view -eq '32') { ' (32-bit)' } else { '' })
            hive = 'machine'
            sid = ''
        }
    }
    foreach ($one in $Sid) {
        # HKEY_USERS has no views of its own.
        foreach ($path in @("$one\Software", "$one\Software\Wow6432Node")) {
            @{ key = $Users; own = $false; path = $path; label = "HKU\$path\{0}"; hive = 'user'; sid = $one }
        }
    }
}

Function Read-ObserveSoftware {
    <#
    .SYNOPSIS
    Use-ObserveSubKey for some keys in all places where programs keep settings. The script's context gets what a place says
    besides its path, and hive and sid.
    .PARAMETER Place
    Hashtables: path (below such a place), and what else the script wants to know.
    #>
    param (
        [hashtable]$Probe,
        [object]$Users,
        [AllowEmptyCollection()][string[]]$Sid,
        [hashtable[]]$Place,
        [hashtable]$Context,
        [scriptblock]$Script
    )

    $software = @(Open-ObserveSoftware -Users $Users -Sid $Sid)
    try {
        foreach ($root in $software) {
            foreach ($item in $Place) {
                $one = $Context.Clone()
                $one.hive = $root.hive
                $one.sid = $root.sid
                foreach ($name in @($item.Keys)) {
                    $one[$name] = $item[$name]
                }
                $arguments = @{
                    Probe = $Probe
                    Key = $root.key
                    Name = '{0}\{1}' -f $root.path, $item.path
                    Label = $root.label -f $item.path
                    Context = $one
                }
                Use-ObserveSubKey @arguments -Script $Script
            }
        }
    }
    finally {
        foreach ($root in $software) {
            if ($root.own) {
                $root.key.Dispose()
            }
        }
    }
}

Function Test-ObserveMachineKey {
    <#
    .SYNOPSIS
    Is there such a key below HKLM (native view)? Throws when that cannot be told.
    #>
    [OutputType([bool])]
    param ([string]$Path)

    $base = Open-ObserveBaseKey -Hive LocalMachine -View 64
    try {
        $key = $base.OpenSubKey($Path)
        if ($null -ne $key) {
            $key.Dispose()
        }
        $null -ne $key
    }
    finally {
        $base.Dispose()
    }
}

Export-ModuleMember -Function @(
    'Get-ObserveKeyValue'
    'Get-ObserveMachineValue'
    'Get-ObserveSubKeyName'
    'Get-ObserveValue'
    'Get-ObserveView'
    'Open-ObserveBaseKey'
    'Read-ObserveChildKey'
    'Read-ObserveMachineKey'
    'Read-ObserveSoftware'
    'Test-ObserveMachineKey'
    'Use-ObserveSubKey'
)
