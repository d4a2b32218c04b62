# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection; may change without notice.
# Files that matter before an act, for win_observe_plan: cached packages of Windows Installer, quarantines, vaults of users.
# They are counted and named, never opened.

#AnsibleRequires -PowerShell ..module_utils._observe_core
#AnsibleRequires -PowerShell ..module_utils._observe_registry
#AnsibleRequires -PowerShell ..module_utils._observe_files
#AnsibleRequires -PowerShell ..module_utils._observe_hives

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$script:UserData = 'SOFTWARE\Microsoft\Windows\CurrentVersion\Installer\UserData'
$script:Code = '^\{[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}$'
# Files that are counted in one store.
$script:MaxFiles = 10000
# A variable of a user's own -> the folder below the profile.
$script:UserFolders = @{ localappdata = '\AppData\Local'; appdata = '\AppData\Roaming'; userprofile = '' }

Function ConvertTo-ObservePackedCode {
    <#
    .SYNOPSIS
    A product code as Windows Installer writes it in names of keys: each part of the GUID turned round.
    #>
    [OutputType([string])]
    param ([string]$Code)

    $packed = New-Object -TypeName System.Text.StringBuilder
    $digits = ($Code -replace '[{}-]', '').ToUpperInvariant()
    $place = 0
    foreach ($length in @(8, 4, 4, 2, 2, 2, 2, 2, 2, 2, 2)) {
        $part = $digits.Substring($place, $length).ToCharArray()
        [array]::Reverse($part)
        [void]$packed.Append((New-Object -TypeName string -ArgumentList @(, $part)))
        $place += $length
    }
    $packed.ToString()
}

$script:ReadPackage = {
    param ($Probe, $Key, $Label, $Context)

    $Context.package.found = $true
    $path = ConvertTo-ObserveText -Value (Get-ObserveValue -Key $Key -Name 'LocalPackage')
    $type = if ($path) { Test-ObserveFile -Path $path -Folder $Context.folder } else { 'no' }
    $words = @{ yes = 'there'; no = 'missing'; unknown = 'unknown' }
    if ($type -eq 'unknown') {
        Add-ObserveProblem -Probe $Probe -Problem ('{0}: cannot be looked at' -f $path)
    }
    Add-ObserveRecord -Probe $Probe -Record @{ code = $Context.package.code; local_package = $path; state = $words[$type] }
}

Function Read-ObserveMsi {
    <#
    .SYNOPSIS
    Probe msi: the cached package of each product code. Without it an uninstall needs the source it was installed from.
    .PARAMETER Asked
    Codes that may be installed; one that is not has no record.
    .PARAMETER Found
    Codes that stand among the registered programs; one that Windows Installer does not know is "unregistered".
    #>
    param (
        [hashtable]$Probe,
        [hashtable]$Folder,
        [AllowEmptyCollection()][object[]]$Asked,
        [AllowEmptyCollection()][object[]]$Found
    )

    $codes = @(@($Asked) + @($Found) | Where-Object { $_ -match $script:Code } | ForEach-Object { $_.ToUpperInvariant() } | Sort-Object -Unique)
    if ($codes.Count -eq 0) {
        return
    }
    $owners = New-Object -TypeName System.Collections.ArrayList
    Read-ObserveMachineKey -Probe $Probe -Path $script:UserData -Listed -Context @{ owners = $owners } -Script {
        param ($Probe, $Key, $Label, $Context)

        foreach ($owner in @(Get-ObserveSubKeyName -Probe $Probe -Key $Key -Label $Label)) {
            [void]$Context.owners.Add($owner)
        }
    }
    foreach ($code in $codes) {
        $package = @{ code = $code; found = $false }
        $packed = ConvertTo-ObservePackedCode -Code $code
        foreach ($owner in $owners) {
            $path = '{0}\{1}\Products\{2}\InstallProperties' -f $script:UserData, $owner, $packed
            $context = @{ package = $package; folder = $Folder }
            Read-ObserveMachineKey -Probe $Probe -Path $path -Context $context -Script $script:ReadPackage
        }
        # -contains takes no notice of case.
        if (-not $package.found -and $Found -contains $code -and $Probe.problems.Count -eq 0) {
            Add-ObserveRecord -Probe $Probe -Record @{ code = $code; local_package = ''; state = 'unregistered' }
        }
    }
}

Function Get-ObserveContent {
    <#
    .SYNOPSIS
    What lies in a folder: hashtable with folders (paths; no links) and files (a number). One look at each entry, as the
    folder itself tells what it is.
    #>
    [OutputType([hashtable])]
    param (
        [string]$Path,
        [hashtable]$Folder
    )

    $content = @{ folders = New-Object -TypeName System.Collections.ArrayList; files = 0 }
    $access = Get-ObserveAccessPath -Path $Path -Folder $Folder
    foreach ($entry in (New-Object -TypeName System.IO.DirectoryInfo -ArgumentList $access).EnumerateFileSystemInfos()) {
        if (($entry.Attributes -band [System.IO.FileAttributes]::Directory) -eq 0) {
            $content.files++
            if ($content.files -ge $script:MaxFiles) {
                break
            }
        }
        elseif (($entry.Attributes -band [System.IO.FileAttributes]::ReparsePoint) -eq 0) {
            [void]$content.folders.Add(('{0}\{1}' -f $Path, $entry.Name))
        }
    }
    $content
}

Function Measure-ObserveFolder {
    <#
    .SYNOPSIS
    Count the files below a folder, links not followed; a folder that cannot be listed is a problem of the probe.
    .PARAMETER Sum
    Gets the number in files, also when the time is over before all are counted.
    #>
    param (
        [hashtable]$Probe,
        [string]$Path,
        [hashtable]$Folder,
        [hashtable]$Sum
    )

    $queue = New-Object -TypeName System.Collections.Queue
    $queue.Enqueue($Path)
    while ($queue.Count -gt 0 -and $Sum.files -lt $script:MaxFiles) {
        Assert-ObserveTime -Probe $Probe
        $next = $queue.Dequeue()
        try {
            $content = Get-ObserveContent -Path $next -Folder $Folder
            $Sum.files = [Math]::Min($script:MaxFiles, $Sum.files + $content.files)
            foreach ($one in $content.folders) {
                $queue.Enqueue($one)
            }
        }
        catch {
            Add-ObserveProblem -Probe $Probe -Problem ('{0}: {1}' -f $next, (Get-ObserveReason -Exception $_.Exception))
        }
    }
}

Function Read-ObserveQuarantine {
    <#
    .SYNOPSIS
    Probe quarantine: how many files lie in each of the stores given; an empty one has no record.
    #>
    param (
        [hashtable]$Probe,
        [hashtable]$Folder,
        [AllowEmptyCollection()][object[]]$Store
    )

    # What paths are found, and which cannot be looked at, is told as for the probe paths.
    $places = New-ObserveProbe -Timeout ([int][Math]::Max(1, $Probe.timeout))
    Read-ObservePath -Probe $places -Folder $Folder -Literal $Store
    foreach ($problem in $places.problems) {
        Add-ObserveProblem -Probe $Probe -Problem $problem
    }
    $told = @{}
    foreach ($place in $places.records) {
        if ($place.type -ne 'dir' -or $told.ContainsKey($place.real)) {
            continue
        }
        $told[$place.real] = $true
        $sum = @{ files = 0 }
        try {
            Measure-ObserveFolder -Probe $Probe -Path $place.real -Folder $Folder -Sum $sum
        }
        finally {
            if ($sum.files -gt 0) {
                Add-ObserveRecord -Probe $Probe -Record @{ path = $place.real; files = $sum.files }
            }
        }
    }
}

Function Read-ObserveVault {
    <#
    .SYNOPSIS
    Probe vaults: files of users' password vaults, in every profile of a real user.
    .PARAMETER Vault
    Files or folders below %LocalAppData%, %AppData% or %UserProfile%; the last part may hold "*". Of a folder its *.edb
    files count, the form in which the vendor keeps vaults.
    #>
    param (
        [hashtable]$Probe,
        [hashtable]$Folder,
        [AllowEmptyCollection()][object[]]$Vault
    )

    foreach ($user in @(Get-ObserveProfile -Probe $Probe -Loaded @())) {
        if ($user.trouble -or -not $user.path) {
            Add-ObserveProblem -Probe $Probe -Problem ('profile of {0}: {1}' -f $user.sid, $(if ($user.trouble) { $user.trouble } else { 'no folder' }))
            continue
        }
        $root = Expand-ObservePath -Path $user.path -Folder $Folder
        $own = $Folder.Clone()
        foreach ($name in @($script:UserFolders.Keys)) {
            $own[$name] = '{0}{1}' -f $root, $script:UserFolders[$name]
        }
        $seen = New-ObserveProbe -Timeout ([int][Math]::Max(1, $Probe.timeout))
        Read-ObservePath -Probe $seen -Folder $own -Literal $Vault
        $folders = @($seen.records | Where-Object { $_.type -eq 'dir' } | ForEach-Object { '{0}\*.edb' -f $_.real })
        if ($folders.Count -gt 0) {
            Read-ObservePath -Probe $seen -Folder $own -Literal $folders
        }
        foreach ($problem in $seen.problems) {
            Add-ObserveProblem -Probe $Probe -Problem $problem
        }
        foreach ($path in @($seen.records | Where-Object { $_.type -eq 'file' } | ForEach-Object { $_.real } | Sort-Object -Unique)) {
            Add-ObserveRecord -Probe $Probe -Record @{ user = $root.Substring($root.LastIndexOf('\') + 1); path = $path }
        }
        Assert-ObserveTime -Probe $Probe
    }
}

Export-ModuleMember -Function @(
    'ConvertTo-ObservePackedCode'
    'Get-ObserveContent'
    'Read-ObserveMsi'
    'Read-ObserveQuarantine'
    'Read-ObserveVault'
)
