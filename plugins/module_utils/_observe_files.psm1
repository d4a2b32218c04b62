# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection; may change without notice.
# Folders, image paths and files for win_observe. Only local drives are looked at, links are not followed: asking for a
# file on another machine would hang and hand out credentials.

#AnsibleRequires -PowerShell ..module_utils._observe_core
#AnsibleRequires -PowerShell ..module_utils._observe_registry

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

# A command line may be made of blanks; a path with more of them than this is none.
$script:MaxWords = 40
# \??\ and \\?\ and \DosDevices\
$script:KernelPrefix = '(\\\?\?\\|\\\\\?\\|\\DosDevices\\)'

Function Get-ObserveFolder {
    <#
    .SYNOPSIS
    The folders of this Windows as its own 64-bit programs see them, whatever the bitness of this PowerShell: lower-case
    variable name -> folder. A variable that this Windows does not have (32-bit) is not in the table.
    #>
    [OutputType([hashtable])]
    param ()

    $root = [System.Environment]::GetEnvironmentVariable('SystemRoot')
    if (-not $root) {
        $root = [System.Environment]::GetFolderPath([System.Environment+SpecialFolder]::Windows)
    }
    if (-not $root) {
        throw 'the folder of Windows itself is not known'
    }
    $folder = @{
        systemroot = $root
        windir = $root
        systemdrive = $root.Substring(0, 2)
        programdata = [System.Environment]::GetFolderPath([System.Environment+SpecialFolder]::CommonApplicationData)
    }
    $folder.allusersprofile = $folder.programdata
    $names = @{
        'ProgramFilesDir' = 'programfiles'
        'ProgramFilesDir (x86)' = 'programfiles(x86)'
        'CommonFilesDir' = 'commonprogramfiles'
        'CommonFilesDir (x86)' = 'commonprogramfiles(x86)'
    }
    $value = @{}
    try {
        $value = Get-ObserveMachineValue -Path 'SOFTWARE\Microsoft\Windows\CurrentVersion' -Name @($names.Keys)
    }
    catch {
        # The environment of this process, below, is the second source.
        $value = @{}
    }
    foreach ($name in @($names.Keys)) {
        $variable = $names[$name]
        $path = if ($value.ContainsKey($name)) { $value[$name] } else { '' }
        if (-not $path) {
            # A 32-bit process is told its own folder in ProgramFiles, and the native one in ProgramW6432.
            $native = @{ programfiles = 'ProgramW6432'; commonprogramfiles = 'CommonProgramW6432' }
            if ($native.ContainsKey($variable)) {
                $path = [System.Environment]::GetEnvironmentVariable($native[$variable])
            }
            if (-not $path) {
                $path = [System.Environment]::GetEnvironmentVariable($variable)
            }
        }
        if ($path) {
            $folder[$variable] = $path
        }
    }
    foreach ($name in @('ProgramFiles', 'CommonProgramFiles')) {
        $key = $name.ToLowerInvariant()
        if ($folder.ContainsKey($key)) {
            $folder[($key -replace '^(common)?programfiles$', '$1programw6432')] = $folder[$key]
        }
    }
    $folder
}

Function Expand-ObservePath {
    <#
    .SYNOPSIS
    Replace %variables%: first this machine's folders, then the machine's own environment. Unknown ones stay.
    #>
    [OutputType([string])]
    param (
        [AllowEmptyString()][string]$Path,
        [hashtable]$Folder
    )

    $text = $Path
    foreach ($match in [regex]::Matches($Path, '%([^%\\/:*?"<>|]+)%')) {
        $name = $match.Groups[1].Value.ToLowerInvariant()
        $value = $null
        if ($Folder.ContainsKey($name)) {
            $value = $Folder[$name]
        }
        else {
            # Not the environment of this session: a service does not get that.
            $value = [System.Environment]::GetEnvironmentVariable($name, [System.EnvironmentVariableTarget]::Machine)
        }
        if ($value) {
            $text = $text.Replace($match.Value, $value)
        }
    }
    $text
}

Function Test-ObserveRedirection {
    <#
    .SYNOPSIS
    Does Windows show this process other system folders than the real ones?
    #>
    [OutputType([bool])]
    param ()

    [System.Environment]::Is64BitOperatingSystem -and -not [System.Environment]::Is64BitProcess
}

Function Get-ObserveAccessPath {
    <#
    .SYNOPSIS
    The path under which this process reaches a file: a 32-bit process sees the real System32 as Sysnative only.
    #>
    [OutputType([string])]
    param (
        [string]$Path,
        [hashtable]$Folder,
        [bool]$Redirected = (Test-ObserveRedirection)
    )

    $system = '{0}\System32' -f $Folder.systemroot
    $below = $Path.StartsWith("$system\", [System.StringComparison]::OrdinalIgnoreCase)
    if ($Redirected -and ($below -or $Path -eq $system)) {
        return '{0}\Sysnative{1}' -f $Folder.systemroot, $Path.Substring($system.Length)
    }
    $Path
}

Function Get-ObserveDriveType {
    <#
    .SYNOPSIS
    What kind of drive a letter is, as a word: Fixed, Removable, Network, NoRootDirectory ...
    #>
    [OutputType([string])]
    param ([string]$Letter)

    [string](New-Object -TypeName System.IO.DriveInfo -ArgumentList "${Letter}:\").DriveType
}

Function Get-ObserveAttribute {
    <#
    .SYNOPSIS
    The attributes of a file or folder itself (a link is not followed); throws when there is none or it may not be seen.
    #>
    param ([string]$Path)

    [System.IO.File]::GetAttributes($Path)
}

Function Get-ObserveFileType {
    <#
    .SYNOPSIS
    What is at a path: dir, file, link, none, or "unknown: why".
    #>
    [OutputType([string])]
    param (
        [AllowEmptyString()][string]$Path,
        [hashtable]$Folder
    )

    if ($Path -notmatch '^[A-Za-z]:\\') {
        return 'unknown: not a path on a local drive'
    }
    try {
        if ((Get-ObserveDriveType -Letter $Path.Substring(0, 1)) -eq 'Network') {
            return 'unknown: on a network drive'
        }
        $attributes = Get-ObserveAttribute -Path (Get-ObserveAccessPath -Path $Path -Folder $Folder)
    }
    catch {
        $inner = $_.Exception.GetBaseException()
        if ($inner -is [System.IO.FileNotFoundException] -or
            $inner -is [System.IO.DirectoryNotFoundException] -or
            $inner -is [System.IO.DriveNotFoundException]) {
            return 'none'
        }
        return 'unknown: {0}' -f (Get-ObserveReason -Exception $_.Exception)
    }
    if (($attributes -band [System.IO.FileAttributes]::ReparsePoint) -ne 0) {
        return 'link'
    }
    if (($attributes -band [System.IO.FileAttributes]::Directory) -ne 0) {
        return 'dir'
    }
    'file'
}

Function Test-ObserveFile {
    <#
    .SYNOPSIS
    Is there a file: yes, no, or unknown. A folder of that name is none; a link may be.
    #>
    [OutputType([string])]
    param (
        [AllowEmptyString()][string]$Path,
        [hashtable]$Folder
    )

    if (-not $Path) {
        return 'no'
    }
    $type = Get-ObserveFileType -Path $Path -Folder $Folder
    if ($type -in @('file', 'link')) {
        return 'yes'
    }
    if ($type -in @('none', 'dir')) {
        return 'no'
    }
    'unknown'
}

Function Resolve-ObserveImage {
    <#
    .SYNOPSIS
    The program of a service's or driver's ImagePath: variables, quotes, arguments and the kernel's spellings resolved.
    .PARAMETER Driver
    The image is a path and no command line: no quotes, no arguments.
    #>
    [OutputType([string])]
    param (
        [AllowEmptyString()][string]$Image,
        [hashtable]$Folder,
        [switch]$Driver
    )

    $text = (Expand-ObservePath -Path $Image -Folder $Folder).Replace('/', '\').Trim()
    if (-not $text) {
        return ''
    }
    $quoted = $text.StartsWith('"')
    if ($quoted) {
        $text = ($text.Substring(1) -split '"', 2)[0]
    }
    # \??\C:\x and \\?\C:\x are C:\x to everybody else; \\?\UNC\server\x is \\server\x.
    $text = $text -replace "^${script:KernelPrefix}UNC\\", '\\' -replace "^${script:KernelPrefix}(?=[A-Za-z]:)", ''
    if ($text -match '^\\SystemRoot(\\|$)') {
        $text = '{0}{1}' -f $Folder.systemroot, $text.Substring(11)
    }
    elseif ($text -match '^(system32|syswow64|sysnative)\\') {
        $text = '{0}\{1}' -f $Folder.systemroot, $text
    }
    elseif ($text -match '^[^\\:]+$' -or $text -match '^[^\\:]+\s') {
        # A bare program name: Windows looks in its System32 first.
        $text = '{0}\System32\{1}' -f $Folder.systemroot, $text
    }
    elseif ($Driver -and $text -match '^[^\\:]+\\') {
        $text = '{0}\{1}' -f $Folder.systemroot, $text
    }
    if ($quoted -or $Driver) {
        return $text
    }
    # Unquoted with blanks: Windows tries each blank as the end of the program, shortest first.
    $words = $text -split ' '
    $most = [Math]::Min($words.Count, $script:MaxWords)
    $first = ''
    for ($count = 1; $count -le $most; $count++) {
        $candidate = [string]::Join(' ', $words[0..($count - 1)])
        foreach ($name in @($candidate, "$candidate.exe")) {
            if ((Test-ObserveFile -Path $name -Folder $Folder) -eq 'yes') {
                return $name
            }
        }
        if (-not $first -and $candidate -match '\.(exe|com|sys|dll|bat|cmd|scr)$') {
            $first = $candidate
        }
    }
    # Nothing there: the first that looks like a program, else everything.
    if ($first) {
        return $first
    }
    $text
}

Function Read-ObservePath {
    <#
    .SYNOPSIS
    Probe paths: which of the catalog's paths exist. The last part may hold "*".
    #>
    param (
        [hashtable]$Probe,
        [hashtable]$Folder,
        [AllowEmptyCollection()][object[]]$Literal
    )

    foreach ($path in $Literal) {
        Assert-ObserveTime -Probe $Probe
        $real = (Expand-ObservePath -Path $path -Folder $Folder).TrimEnd('\')
        if ($real -match '^%(ProgramFiles|CommonProgramFiles)\(x86\)%') {
            # A 32-bit Windows has no such folder.
            continue
        }
        $cut = $real.LastIndexOf('\')
        $parent = $real.Substring(0, [Math]::Max($cut, 0))
        $leaf = $real.Substring($cut + 1)
        if ($parent -match '[*?%]' -or $leaf -match '[?%]' -or $cut -lt 2) {
            Add-ObserveProblem -Probe $Probe -Problem ('{0}: not a path that can be looked up here' -f $path)
            continue
        }
        $candidates = @($real)
        if ($leaf.Contains('*')) {
            $type = Get-ObserveFileType -Path "$parent\" -Folder $Folder
            if ($type -like 'unknown*') {
                Add-ObserveProblem -Probe $Probe -Problem ('{0}: {1}' -f $path, $type.Substring(9))
            }
            if ($type -notin @('dir', 'link')) {
                continue
            }
            try {
                $candidates = @(Get-ObserveEntry -Parent $parent -Pattern $leaf -Folder $Folder)
            }
            catch {
                $why = Get-ObserveReason -Exception $_.Exception
                Add-ObserveProblem -Probe $Probe -Problem ('{0}: {1}' -f $path, $why)
                continue
            }
        }
        foreach ($candidate in $candidates) {
            $type = Get-ObserveFileType -Path $candidate -Folder $Folder
            if ($type -like 'unknown*') {
                Add-ObserveProblem -Probe $Probe -Problem ('{0}: {1}' -f $candidate, $type.Substring(9))
            }
            elseif ($type -ne 'none') {
                Add-ObserveRecord -Probe $Probe -Record @{ path = $path; real = $candidate; type = $type }
            }
        }
    }
}

Function Get-ObserveEntry {
    <#
    .SYNOPSIS
    The entries of a folder whose name fits a pattern with "*".
    #>
    [OutputType([string[]])]
    param (
        [string]$Parent,
        [string]$Pattern,
        [hashtable]$Folder
    )

    # Windows also matches a pattern against short names and cuts extensions to three letters: fit the long name here.
    $fits = '^{0}$' -f [regex]::Escape($Pattern).Replace('\*', '.*')
    $access = Get-ObserveAccessPath -Path $Parent -Folder $Folder
    foreach ($entry in [System.IO.Directory]::EnumerateFileSystemEntries($access, $Pattern)) {
        $name = $entry.Substring($entry.LastIndexOf('\') + 1)
        if ($name -match $fits) {
            '{0}\{1}' -f $Parent, $name
        }
    }
}

Export-ModuleMember -Function @(
    'Expand-ObservePath'
    'Get-ObserveAccessPath'
    'Get-ObserveAttribute'
    'Get-ObserveDriveType'
    'Get-ObserveEntry'
    'Get-ObserveFileType'
    'Get-ObserveFolder'
    'Read-ObservePath'
    'Resolve-ObserveImage'
    'Test-ObserveFile'
    'Test-ObserveRedirection'
)
