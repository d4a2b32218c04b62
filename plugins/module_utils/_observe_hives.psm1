# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection; may change without notice.
# The registry hives of users for win_observe: which are loaded, and what the files of the others can say. No hive is ever
# loaded. A file without any of the texts a probe looks for holds nothing of it and counts as inspected; see
# docs/decisions/user-hives-that-are-not-loaded.md.

#AnsibleRequires -CSharpUtil ..module_utils._ObserveHive
#AnsibleRequires -PowerShell ..module_utils._observe_core
#AnsibleRequires -PowerShell ..module_utils._observe_registry
#AnsibleRequires -PowerShell ..module_utils._observe_files

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$script:ProfileListKey = 'SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList'
# The hive, the log of what is not in it yet, and the records of transactions. NTUSER.MAN is the hive of a mandatory profile.
$script:HiveFile = '^NTUSER\.(DAT|MAN)$'
$script:HiveLog = '^NTUSER\.(DAT|MAN)(\.LOG\d?|\{[^}]+\}\.TM.*\.(blf|regtrans-ms))$'
# Every text that some probe will ask for, so that each file is read once; and what the files answered.
$script:Words = New-Object -TypeName System.Collections.Generic.HashSet[string]
$script:Answers = @{}

Function Get-ObserveHive {
    <#
    .SYNOPSIS
    The SIDs of the user hives that are loaded, ".DEFAULT" and those of the system's own accounts included.
    .PARAMETER Classes
    The other part of each user's hive instead, <SID>_Classes.
    #>
    [OutputType([string[]])]
    param (
        [object]$Users,
        [switch]$Classes
    )

    foreach ($name in @($Users.GetSubKeyNames())) {
        if (($name -like '*_Classes') -eq [bool]$Classes) {
            $name
        }
    }
}

Function Get-ObserveProfile {
    <#
    .SYNOPSIS
    The profiles of real users (local, domain, Entra ID) whose hive is not loaded: hashtables with sid, path and trouble.
    #>
    param (
        [hashtable]$Probe,
        [AllowEmptyCollection()][string[]]$Loaded
    )

    $found = New-Object -TypeName System.Collections.ArrayList
    $base = Open-ObserveBaseKey -Hive LocalMachine -View 64
    try {
        $arguments = @{
            Probe = $Probe
            Key = $base
            Name = $script:ProfileListKey
            Label = "HKLM\$script:ProfileListKey"
            Context = @{ loaded = $Loaded; found = $found }
        }
        Use-ObserveSubKey @arguments -Script {
            param ($Probe, $Key, $Label, $Context)

            foreach ($sid in @(Get-ObserveSubKeyName -Probe $Probe -Key $Key -Label $Label)) {
                if ($sid -notmatch '^S-1-(5-21|12-1)-') {
                    continue
                }
                $one = @{ sid = $sid; path = ''; trouble = ''; loaded = $Context.loaded -contains $sid }
                try {
                    $entry = $Key.OpenSubKey($sid)
                    if ($null -ne $entry) {
                        $one.path = ConvertTo-ObserveText -Value (Get-ObserveValue -Key $entry -Name 'ProfileImagePath')
                        $entry.Dispose()
                    }
                }
                catch {
                    $one.trouble = Get-ObserveReason -Exception $_.Exception
                }
                [void]$Context.found.Add($one)
            }
        }
    }
    finally {
        $base.Dispose()
    }
    # A second entry of a profile ("<SID>.bak") may share the folder of one that is loaded: the same hive.
    $open = @($found | Where-Object { $_.loaded -and $_.path } | ForEach-Object { $_.path })
    foreach ($one in $found) {
        if (-not $one.loaded -and $open -notcontains $one.path) {
            $one
        }
    }
}

Function Get-ObserveHiveWord {
    <#
    .SYNOPSIS
    What of a literal must lie in a hive's bytes in one piece. A certificate's subject is put together by the reader: its
    longest piece without a separator is what the bytes hold; '' when that is too short to tell anything.
    #>
    [OutputType([string])]
    param (
        [string]$Literal,
        [switch]$Certificate
    )

    if (-not $Certificate) {
        return $Literal.ToLowerInvariant()
    }
    $longest = ''
    foreach ($piece in ($Literal.ToLowerInvariant() -split '[=,;+"\\#]+\s*|\s+(?=[a-z.0-9]+=)')) {
        if ($piece.Trim().Length -gt $longest.Length) {
            $longest = $piece.Trim()
        }
    }
    if ($longest.Length -lt 3) {
        return ''
    }
    $longest
}

Function Add-ObserveHiveWord {
    <#
    .SYNOPSIS
    Tell before the first probe what later ones will ask for, so that each file is read only once.
    #>
    param (
        [AllowEmptyCollection()][object[]]$Literal = @(),
        [AllowEmptyCollection()][object[]]$Root = @(),
        [switch]$Certificate
    )

    foreach ($one in $Literal) {
        $word = Get-ObserveHiveWord -Literal $one -Certificate:$Certificate
        if ($word) {
            [void]$script:Words.Add($word)
        }
    }
    foreach ($path in $Root) {
        foreach ($part in $path.Split('\')) {
            if ($part) {
                [void]$script:Words.Add($part.ToLowerInvariant())
            }
        }
    }
}

Function Find-ObserveHiveText {
    <#
    .SYNOPSIS
    The texts of a list that occur in a file.
    #>
    [OutputType([string[]])]
    param (
        [string]$Path,
        [string[]]$Text,
        [bool]$IsHive,
        [int]$Milliseconds
    )

    $type = 'ansible_collections.evict.kaspersky.plugins.module_utils._ObserveHive.HiveFile' -as [type]
    if ($null -eq $type) {
        throw 'its reader is not to be had'
    }
    $type::Find($Path, $Text, $IsHive, $Milliseconds)
}

Function Get-ObserveHiveFile {
    <#
    .SYNOPSIS
    The files of a profile's hive: full path -> is it the hive itself (else a log of it).
    #>
    [OutputType([hashtable])]
    param (
        [string]$Path,
        [hashtable]$Folder
    )

    $files = @{}
    foreach ($entry in @(Get-ObserveEntry -Parent $Path -Pattern 'NTUSER.*' -Folder $Folder)) {
        $name = $entry.Substring($entry.LastIndexOf('\') + 1)
        if ($name -match $script:HiveFile) {
            $files[$entry] = $true
        }
        elseif ($name -match $script:HiveLog) {
            $files[$entry] = $false
        }
    }
    $files
}

Function Read-ObserveHiveFile {
    <#
    .SYNOPSIS
    What the files of one profile say about all texts: trouble ('' when all could be read) and found (text -> $true).
    #>
    [OutputType([hashtable])]
    param (
        [string]$Path,
        [hashtable]$Folder,
        [int]$Milliseconds
    )

    $answer = @{ trouble = ''; found = @{} }
    if (-not $Path) {
        $answer.trouble = 'its folder is not known'
        return $answer
    }
    $real = (Expand-ObservePath -Path $Path -Folder $Folder).TrimEnd('\')
    $type = Get-ObserveFileType -Path $real -Folder $Folder
    if ($type -ne 'dir') {
        $words = @{ none = 'its folder is not there'; link = 'its folder is a link'; file = 'its folder is a file' }
        $answer.trouble = if ($words.ContainsKey($type)) { $words[$type] } else { $type -replace '^unknown: ', 'its folder: ' }
        return $answer
    }
    $words = [string[]]@($script:Words)
    $watch = [System.Diagnostics.Stopwatch]::StartNew()
    $name = 'its folder'
    try {
        $files = Get-ObserveHiveFile -Path $real -Folder $Folder
        if (@($files.Values) -notcontains $true) {
            $answer.trouble = 'no hive file in its folder'
            return $answer
        }
        foreach ($file in @($files.Keys | Sort-Object)) {
            $name = $file.Substring($file.LastIndexOf('\') + 1)
            $left = [Math]::Max(1, $Milliseconds - $watch.ElapsedMilliseconds)
            foreach ($word in @(Find-ObserveHiveText -Path $file -Text $words -IsHive $files[$file] -Milliseconds $left)) {
                $answer.found[$word] = $true
            }
        }
    }
    catch {
        $answer.trouble = '{0}: {1}' -f $name, (Get-ObserveReason -Exception $_.Exception)
    }
    $answer
}

Function Read-ObserveUnloadedHive {
    <#
    .SYNOPSIS
    Read the files of all hives that are not loaded and were not read yet, as long as the probe has time. Called once before
    the first probe that needs them, with a time of its own, so that a host with many profiles is no less sure.
    #>
    param (
        [hashtable]$Probe,
        [AllowNull()][AllowEmptyCollection()][object[]]$UserProfile
    )

    if ($null -eq $UserProfile) {
        $users = Open-ObserveBaseKey -Hive Users -View 64
        try {
            $loaded = @(Get-ObserveHive -Users $users)
        }
        finally {
            $users.Dispose()
        }
        $UserProfile = @(Get-ObserveProfile -Probe $Probe -Loaded $loaded)
    }
    if (-not $UserProfile -or $script:Words.Count -eq 0) {
        return
    }
    $folder = Get-ObserveFolder
    foreach ($one in $UserProfile) {
        $left = $Probe.timeout * 1000 - $Probe.watch.ElapsedMilliseconds
        if (-not $one.trouble -and -not $script:Answers.ContainsKey($one.path) -and $left -gt 0) {
            $script:Answers[$one.path] = Read-ObserveHiveFile -Path $one.path -Folder $folder -Milliseconds $left
        }
    }
}

Function Add-ObserveUnloadedHive {
    <#
    .SYNOPSIS
    Look into the files of the hives that are not loaded. One that cannot be read, or that holds what the probe looks for,
    is a problem of the probe: what is registered in it cannot be told.
    .PARAMETER Literal
    Texts of which one would have to be in it.
    .PARAMETER Root
    Keys; all names on the way to one of them would have to be in it.
    .PARAMETER Certificate
    The literals are compared with subjects of certificates.
    #>
    param (
        [hashtable]$Probe,
        [AllowEmptyCollection()][string[]]$Loaded,
        [AllowEmptyCollection()][object[]]$Literal = @(),
        [AllowEmptyCollection()][object[]]$Root = @(),
        [switch]$Certificate
    )

    $profiles = @(Get-ObserveProfile -Probe $Probe -Loaded $Loaded)
    if (-not $profiles) {
        return
    }
    $before = $script:Words.Count
    Add-ObserveHiveWord -Literal $Literal -Certificate:$Certificate
    Add-ObserveHiveWord -Root $Root
    if ($script:Words.Count -ne $before) {
        $script:Answers = @{}
    }
    Read-ObserveUnloadedHive -Probe $Probe -UserProfile $profiles
    foreach ($one in $profiles) {
        if ($one.trouble) {
            Add-ObserveProblem -Probe $Probe -Problem ('user hive not loaded: {0} ({1})' -f $one.sid, $one.trouble)
            continue
        }
        $label = 'user hive not loaded: {0} ({1})' -f $one.sid, $one.path
        $answer = $script:Answers[$one.path]
        if ($null -eq $answer) {
            Add-ObserveProblem -Probe $Probe -Problem "${label}: no time left to read its file"
            continue
        }
        if ($answer.trouble) {
            Add-ObserveProblem -Probe $Probe -Problem ('{0}: {1}' -f $label, $answer.trouble)
            continue
        }
        $held = New-Object -TypeName System.Collections.ArrayList
        foreach ($literal in $Literal) {
            $word = Get-ObserveHiveWord -Literal $literal -Certificate:$Certificate
            if (-not $word -or $answer.found.ContainsKey($word)) {
                [void]$held.Add($literal)
            }
        }
        foreach ($path in $Root) {
            $parts = @($path.ToLowerInvariant().Split('\') | Where-Object { $_ -and -not $answer.found.ContainsKey($_) })
            if (-not $parts) {
                [void]$held.Add(($path -replace '^.*\\', ''))
            }
        }
        if ($held.Count -gt 0) {
            $texts = [string]::Join(', ', [string[]]@($held | Select-Object -First 3))
            $remedy = 'let the user sign in and audit again, or look into the hive'
            Add-ObserveProblem -Probe $Probe -Problem ('{0}, and its file holds the text {1}: {2}' -f $label, $texts, $remedy)
        }
    }
}

Export-ModuleMember -Function @(
    'Add-ObserveHiveWord'
    'Add-ObserveUnloadedHive'
    'Find-ObserveHiveText'
    'Get-ObserveHive'
    'Get-ObserveHiveFile'
    'Get-ObserveHiveWord'
    'Get-ObserveProfile'
    'Read-ObserveUnloadedHive'
)
