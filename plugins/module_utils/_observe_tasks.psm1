# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection; may change without notice.
# Scheduled tasks and rules of Windows Firewall for win_observe. Tasks: the files of the task scheduler and its cache in the
# registry, each of which may be closed. Rules: the registry, where the firewall itself keeps them.

#AnsibleRequires -PowerShell ..module_utils._observe_core
#AnsibleRequires -PowerShell ..module_utils._observe_registry
#AnsibleRequires -PowerShell ..module_utils._observe_files

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$script:TaskCacheKey = 'SOFTWARE\Microsoft\Windows NT\CurrentVersion\Schedule\TaskCache\Tasks'
# A task file is a few kB; nobody writes one of this size.
$script:MaxTaskFile = 4MB
$script:FirewallKey = 'SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy'
$script:RuleKeys = @(
    "$script:FirewallKey\FirewallRules"
    "$script:FirewallKey\Mdm\FirewallRules"
    "$script:FirewallKey\RestrictedServices\Static\System"
    "$script:FirewallKey\RestrictedServices\Configurable\System"
    "$script:FirewallKey\RestrictedServices\AppIso\FirewallRules"
    'SOFTWARE\Policies\Microsoft\WindowsFirewall\FirewallRules'
)

Function Get-ObserveFileData {
    <#
    .SYNOPSIS
    The bytes of a file, also of one that somebody has open.
    #>
    [OutputType([byte[]])]
    param (
        [string]$Path,
        [int]$Most
    )

    $share = [System.IO.FileShare]'ReadWrite, Delete'
    $stream = New-Object -TypeName System.IO.FileStream -ArgumentList @($Path, [System.IO.FileMode]::Open, [System.IO.FileAccess]::Read, $share)
    try {
        if ($stream.Length -gt $Most) {
            throw 'larger than such a file can be'
        }
        $memory = New-Object -TypeName System.IO.MemoryStream
        $stream.CopyTo($memory)
        return , $memory.ToArray()
    }
    finally {
        $stream.Dispose()
    }
}

Function ConvertTo-ObserveFileText {
    <#
    .SYNOPSIS
    A text file's bytes as text: with its byte order mark, or UTF-16 when every other byte is NUL, or UTF-8.
    #>
    [OutputType([string])]
    param ([AllowEmptyCollection()][byte[]]$Data)

    if ($Data.Length -ge 2 -and $Data[1] -eq 0 -and $Data[0] -ne 0) {
        return [System.Text.Encoding]::Unicode.GetString($Data)
    }
    $memory = New-Object -TypeName System.IO.MemoryStream -ArgumentList @(, $Data)
    $reader = New-Object -TypeName System.IO.StreamReader -ArgumentList @($memory, [System.Text.Encoding]::UTF8, $true)
    try {
        $reader.ReadToEnd()
    }
    finally {
        $reader.Dispose()
    }
}

Function Get-ObserveTaskDetail {
    <#
    .SYNOPSIS
    Author and command lines of a task's XML; empty texts when it is no XML.
    #>
    [OutputType([hashtable])]
    param ([AllowEmptyString()][string]$Text)

    $found = @{ author = ''; command = '' }
    $document = New-Object -TypeName System.Xml.XmlDocument
    # Nothing outside of the file is ever asked for.
    $document.XmlResolver = $null
    $settings = New-Object -TypeName System.Xml.XmlReaderSettings
    $settings.DtdProcessing = [System.Xml.DtdProcessing]::Prohibit
    $settings.XmlResolver = $null
    try {
        $source = New-Object -TypeName System.IO.StringReader -ArgumentList $Text.TrimStart([char]0xFEFF)
        $document.Load([System.Xml.XmlReader]::Create($source, $settings))
    }
    catch {
        return $found
    }
    foreach ($node in $document.GetElementsByTagName('Author')) {
        $found.author = $node.InnerText
    }
    $commands = foreach ($name in @('Exec', 'ComHandler')) {
        foreach ($node in $document.GetElementsByTagName($name)) {
            [string]::Join(' ', [string[]]@(foreach ($child in $node.ChildNodes) { $child.InnerText }))
        }
    }
    $found.command = [string]::Join('; ', [string[]]@($commands))
    $found
}

Function Get-ObserveTaskFile {
    <#
    .SYNOPSIS
    The files of the task scheduler: hashtables with path (as it names the task), file (to open) and job (the old kind). A
    folder that cannot be listed is a problem in Trouble.
    #>
    param (
        [hashtable]$Folder,
        [System.Collections.ArrayList]$Trouble
    )

    $root = Get-ObserveAccessPath -Path ('{0}\System32\Tasks' -f $Folder.systemroot) -Folder $Folder
    $queue = New-Object -TypeName System.Collections.Queue
    $queue.Enqueue(@{ real = $root; task = '' })
    while ($queue.Count -gt 0) {
        $one = $queue.Dequeue()
        try {
            foreach ($item in (New-Object -TypeName System.IO.DirectoryInfo -ArgumentList $one.real).GetFileSystemInfos()) {
                $path = '{0}\{1}' -f $one.task, $item.Name
                if (($item.Attributes -band [System.IO.FileAttributes]::ReparsePoint) -ne 0) {
                    continue
                }
                if ($item -is [System.IO.DirectoryInfo]) {
                    $queue.Enqueue(@{ real = $item.FullName; task = $path })
                }
                else {
                    @{ path = $path; file = $item.FullName; job = $false }
                }
            }
        }
        catch {
            if ($_.Exception.GetBaseException() -isnot [System.IO.DirectoryNotFoundException]) {
                [void]$Trouble.Add(('the folder {0}: {1}' -f $one.real, (Get-ObserveReason -Exception $_.Exception)))
            }
        }
    }
    try {
        foreach ($entry in @(Get-ObserveEntry -Parent ('{0}\Tasks' -f $Folder.systemroot) -Pattern '*.job' -Folder $Folder)) {
            @{ path = $entry.Substring($entry.LastIndexOf('\')); file = $entry; job = $true }
        }
    }
    catch {
        if ($_.Exception.GetBaseException() -isnot [System.IO.DirectoryNotFoundException]) {
            [void]$Trouble.Add(('the folder {0}\Tasks: {1}' -f $Folder.systemroot, (Get-ObserveReason -Exception $_.Exception)))
        }
    }
}

$script:ReadCachedTask = {
    param ($Probe, $Key, $Label, $Context)

    $path = ConvertTo-ObserveText -Value (Get-ObserveValue -Key $Key -Name 'Path')
    $author = ConvertTo-ObserveText -Value (Get-ObserveValue -Key $Key -Name 'Author')
    $command = ''
    $actions = Get-ObserveValue -Key $Key -Name 'Actions'
    if ($actions -is [byte[]]) {
        # Texts with their lengths before them: what is printable is the command line.
        $plain = [System.Text.Encoding]::Unicode.GetString($actions) + "`n"
        if ($actions.Length -gt 1) {
            $plain += [System.Text.Encoding]::Unicode.GetString($actions, 1, $actions.Length - 1)
        }
        $pieces = foreach ($match in [regex]::Matches($plain, '[\x20-\x7E\u00A0-\u04FF]{4,}')) { $match.Value }
        $command = [string]::Join(' ', [string[]]@($pieces))
    }
    # The plain name counts when the cache does not say the whole path.
    $Context.found[$path.ToLowerInvariant()] = @{ path = $path; author = $author; command = $command }
}

Function Read-ObserveTask {
    <#
    .SYNOPSIS
    Probe tasks: those whose path, author or command holds a literal. What a file keeps to itself the cache may tell, and the
    other way round; only a task that neither of them tells is a problem.
    #>
    param (
        [hashtable]$Probe,
        [hashtable]$Folder,
        [AllowEmptyCollection()][object[]]$Literal
    )

    $filter = New-ObserveFilter -Literal $Literal
    if ($null -eq $filter) {
        return
    }
    $cached = @{}
    # Problems of the cache count only where the files do not answer.
    $cache = @{
        records = $Probe.records; problems = New-Object -TypeName System.Collections.ArrayList
        watch = $Probe.watch; timeout = $Probe.timeout; ended = $false
    }
    Read-ObserveMachineKey -Probe $cache -Path $script:TaskCacheKey -Context @{ found = $cached } -Script {
        param ($Probe, $Key, $Label, $Context)

        Read-ObserveChildKey -Probe $Probe -Key $Key -Label $Label -Context $Context -Script $script:ReadCachedTask
    }
    $trouble = New-Object -TypeName System.Collections.ArrayList
    $told = @{}
    foreach ($task in @(Get-ObserveTaskFile -Folder $Folder -Trouble $trouble)) {
        Assert-ObserveTime -Probe $Probe
        $known = $cached[$task.path.ToLowerInvariant()]
        $told[$task.path.ToLowerInvariant()] = $true
        $detail = @{ author = ''; command = '' }
        $text = ''
        try {
            $data = Get-ObserveFileData -Path $task.file -Most $script:MaxTaskFile
            if ($task.job) {
                $text = [System.Text.Encoding]::Unicode.GetString($data)
            }
            else {
                $text = ConvertTo-ObserveFileText -Data $data
                $detail = Get-ObserveTaskDetail -Text $text
            }
        }
        catch {
            if ($null -eq $known) {
                Add-ObserveProblem -Probe $Probe -Problem ('task {0}: {1}' -f $task.path, (Get-ObserveReason -Exception $_.Exception))
            }
            else {
                $detail = $known
            }
        }
        $texts = @($task.path, $detail.author, $detail.command)
        if (-not $detail.command) {
            # No XML that can be read: whatever it says counts.
            $texts += $text
        }
        if (Test-ObserveFilter -Filter $filter -Text $texts) {
            Add-ObserveRecord -Probe $Probe -Record @{ path = $task.path; author = $detail.author; command = $detail.command }
        }
    }
    foreach ($path in @($cached.Keys | Sort-Object)) {
        $task = $cached[$path]
        if (-not $told.ContainsKey($path) -and (Test-ObserveFilter -Filter $filter -Text @($task.path, $task.author, $task.command))) {
            Add-ObserveRecord -Probe $Probe -Record $task
        }
    }
    # A folder that is closed hides tasks only when the cache does not tell them.
    if ($trouble.Count -gt 0 -and ($cached.Count -eq 0 -or $cache.problems.Count -gt 0)) {
        foreach ($problem in @($trouble) + @($cache.problems)) {
            Add-ObserveProblem -Probe $Probe -Problem $problem
        }
    }
}

$script:ReadRules = {
    param ($Probe, $Key, $Label, $Context)

    $values = Get-ObserveKeyValue -Probe $Probe -Key $Key -Label $Label
    foreach ($id in @($values.Keys | Sort-Object)) {
        Assert-ObserveTime -Probe $Probe
        $text = $values[$id]
        if ($text -isnot [string] -or -not (Test-ObserveFilter -Filter $Context.filter -Text @($id, $text))) {
            continue
        }
        $part = @{ name = ''; app = ''; dir = ''; action = ''; active = ''; svc = '' }
        foreach ($piece in $text.Split('|')) {
            $name, $value = $piece -split '=', 2
            if ($null -ne $value -and $part.ContainsKey($name.ToLowerInvariant())) {
                $part[$name.ToLowerInvariant()] = $value
            }
        }
        Add-ObserveRecord -Probe $Probe -Record @{
            id = $id
            name = $part.name
            program = if ($part.app) { $part.app } else { $part.svc }
            direction = $part.dir.ToLowerInvariant()
            action = $part.action.ToLowerInvariant()
            enabled = if ($part.active -eq 'TRUE') { 'yes' } else { 'no' }
        }
    }
}

Function Read-ObserveFirewallRule {
    <#
    .SYNOPSIS
    Probe firewall_rules: rules whose id or text (name, program, service) holds a literal, of this machine and of policies.
    #>
    param (
        [hashtable]$Probe,
        [AllowEmptyCollection()][object[]]$Literal
    )

    $filter = New-ObserveFilter -Literal $Literal
    if ($null -eq $filter) {
        return
    }
    foreach ($path in $script:RuleKeys) {
        Read-ObserveMachineKey -Probe $Probe -Path $path -Context @{ filter = $filter } -Script $script:ReadRules
    }
}

Export-ModuleMember -Function @(
    'ConvertTo-ObserveFileText'
    'Get-ObserveFileData'
    'Get-ObserveTaskDetail'
    'Get-ObserveTaskFile'
    'Read-ObserveFirewallRule'
    'Read-ObserveTask'
)
