# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection; may change without notice.
# What could bring a product back, for win_observe: programs at start and logon, scripts and software of policies, and what
# management agents keep of their orders. Scheduled tasks are a probe of their own.

#AnsibleRequires -PowerShell ..module_utils._observe_core
#AnsibleRequires -PowerShell ..module_utils._observe_registry
#AnsibleRequires -PowerShell ..module_utils._observe_files
#AnsibleRequires -PowerShell ..module_utils._observe_hives
#AnsibleRequires -PowerShell ..module_utils._observe_tasks

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$script:Windows = 'Microsoft\Windows\CurrentVersion'
# Of the machine and of users, both views, below Software: kind, key, how deep it goes.
$script:Entries = @(
    @{ kind = 'run'; path = "$script:Windows\Run"; depth = 0 }
    @{ kind = 'run'; path = "$script:Windows\RunOnce"; depth = 1 }
    @{ kind = 'run'; path = "$script:Windows\RunOnceEx"; depth = 2 }
    @{ kind = 'run'; path = "$script:Windows\RunServices"; depth = 0 }
    @{ kind = 'run'; path = "$script:Windows\RunServicesOnce"; depth = 0 }
    @{ kind = 'run'; path = "$script:Windows\Policies\Explorer\Run"; depth = 0 }
    @{ kind = 'run'; path = 'Microsoft\Windows NT\CurrentVersion\Winlogon'; depth = 0; only = '^(Shell|Userinit|Taskman|VmApplet)$' }
    @{ kind = 'gpo_software'; path = "$script:Windows\Group Policy\AppMgmt"; depth = 1 }
)
$script:UserEntries = @(
    @{ kind = 'logon_script'; path = 'Software\Microsoft\Windows\CurrentVersion\Group Policy\Scripts'; depth = 3 }
    @{ kind = 'logon_script'; path = 'Software\Policies\Microsoft\Windows\System\Scripts'; depth = 3 }
    @{ kind = 'logon_script'; path = 'Environment'; depth = 0; only = '^UserInitMprLogonScript$' }
)
# Of the machine only, in the native view.
$script:MachineEntries = @(
    @{ kind = 'startup_script'; path = "SOFTWARE\$script:Windows\Group Policy\Scripts"; depth = 3 }
    @{ kind = 'startup_script'; path = "SOFTWARE\$script:Windows\Group Policy\State\Machine\Scripts"; depth = 3 }
    @{ kind = 'startup_script'; path = 'SOFTWARE\Policies\Microsoft\Windows\System\Scripts'; depth = 3 }
    @{ kind = 'active_setup'; path = 'SOFTWARE\Microsoft\Active Setup\Installed Components'; depth = 1 }
    @{ kind = 'active_setup'; path = 'SOFTWARE\Wow6432Node\Microsoft\Active Setup\Installed Components'; depth = 1 }
    # Programs that Configuration Manager, Intune and other device management were told to install.
    @{ kind = 'management'; path = 'SOFTWARE\Microsoft\SMS\Mobile Client\Software Distribution\Execution History'; depth = 3 }
    @{ kind = 'management'; path = 'SOFTWARE\Microsoft\IntuneManagementExtension\Win32Apps'; depth = 3 }
    @{ kind = 'management'; path = 'SOFTWARE\Microsoft\EnterpriseDesktopAppManagement'; depth = 4 }
)
$script:MaxKeys = 5000
$script:MaxStartupFile = 1MB
$script:Startup = 'Microsoft\Windows\Start Menu\Programs\Startup'

$script:ReadEntries = {
    param ($Probe, $Key, $Label, $Context)

    if ($Context.count.number++ -gt $script:MaxKeys) {
        throw ('more than {0:D} keys' -f $script:MaxKeys)
    }
    $values = Get-ObserveKeyValue -Probe $Probe -Key $Key -Label $Label
    foreach ($name in @($values.Keys | Sort-Object)) {
        if ($Context.only -and $name -notmatch $Context.only) {
            continue
        }
        $value = $values[$name]
        $text = if ($value -is [string]) { $value } else { ConvertTo-ObserveText -Value $value }
        if (Test-ObserveFilter -Filter $Context.filter -Text @($name, $text)) {
            $shown = if ($name) { '{0} = {1}' -f $name, $text } else { $text }
            $mark = '{0}|{1}|{2}' -f $Context.kind, ($Label -replace ' \(32-bit\)$', ''), $shown
            if (-not $Context.seen.ContainsKey($mark)) {
                $Context.seen[$mark] = $true
                Add-ObserveRecord -Probe $Probe -Record @{ kind = $Context.kind; source = $Label; text = $shown }
            }
        }
    }
    if ($Context.depth -gt 0) {
        $one = $Context.Clone()
        $one.depth = $Context.depth - 1
        Read-ObserveChildKey -Probe $Probe -Key $Key -Label $Label -Context $one -Script $script:ReadEntries
    }
}

Function Read-ObserveStartupFolder {
    <#
    .SYNOPSIS
    The files of a Startup folder that name a literal in their name or, links and scripts, in their content.
    #>
    param (
        [hashtable]$Probe,
        [hashtable]$Folder,
        [string]$Path,
        [hashtable]$Context
    )

    $type = Get-ObserveFileType -Path $Path -Folder $Folder
    if ($type -like 'unknown*') {
        Add-ObserveProblem -Probe $Probe -Problem ('{0}: {1}' -f $Path, $type.Substring(9))
    }
    if ($type -ne 'dir') {
        return
    }
    try {
        foreach ($entry in @(Get-ObserveEntry -Parent $Path -Pattern '*' -Folder $Folder)) {
            Assert-ObserveTime -Probe $Probe
            $name = $entry.Substring($entry.LastIndexOf('\') + 1)
            $text = $name
            $found = $Context.filter.IsMatch($name)
            if ((Get-ObserveFileType -Path $entry -Folder $Folder) -eq 'file' -and $name -match '\.(lnk|url|bat|cmd|ps1|vbs|js|wsf)$') {
                $data = Get-ObserveFileData -Path (Get-ObserveAccessPath -Path $entry -Folder $Folder) -Most $script:MaxStartupFile
                # A link holds its target once in the machine's code page and once in UTF-16, at any place.
                $odd = [Math]::Max(0, $data.Length - 1)
                $whole = [string]::Join("`n", [string[]]@(
                        [System.Text.Encoding]::UTF8.GetString($data)
                        [System.Text.Encoding]::Unicode.GetString($data)
                        [System.Text.Encoding]::Unicode.GetString($data, $data.Length - $odd, $odd)
                    ))
                $match = $Context.filter.Match($whole)
                if ($match.Success) {
                    $found = $true
                    $line = [regex]::Match($whole.Substring([Math]::Max(0, $match.Index - 200)), '[^\x00-\x1F]*' + [regex]::Escape($match.Value) + '[^\x00-\x1F]{0,200}')
                    $text = '{0}: {1}' -f $name, $line.Value
                }
            }
            if ($found) {
                Add-ObserveRecord -Probe $Probe -Record @{ kind = 'startup'; source = $Path; text = $text }
            }
        }
    }
    catch {
        if ($Probe.ended) {
            throw
        }
        Add-ObserveProblem -Probe $Probe -Problem ('{0}: {1}' -f $Path, (Get-ObserveReason -Exception $_.Exception))
    }
}

Function Read-ObserveScriptList {
    <#
    .SYNOPSIS
    The lists of a local policy's scripts: lines that hold a literal.
    #>
    param (
        [hashtable]$Probe,
        [hashtable]$Folder,
        [hashtable]$Context
    )

    foreach ($part in @(@{ name = 'Machine'; kind = 'startup_script' }, @{ name = 'User'; kind = 'logon_script' })) {
        foreach ($name in @('scripts.ini', 'psscripts.ini')) {
            $path = '{0}\System32\GroupPolicy\{1}\Scripts\{2}' -f $Folder.systemroot, $part.name, $name
            if ((Get-ObserveFileType -Path $path -Folder $Folder) -ne 'file') {
                continue
            }
            try {
                $data = Get-ObserveFileData -Path (Get-ObserveAccessPath -Path $path -Folder $Folder) -Most $script:MaxStartupFile
                foreach ($line in (ConvertTo-ObserveFileText -Data $data).Split("`n")) {
                    if ($Context.filter.IsMatch($line)) {
                        Add-ObserveRecord -Probe $Probe -Record @{ kind = $part.kind; source = $path; text = $line.Trim() }
                    }
                }
            }
            catch {
                if ($Probe.ended) {
                    throw
                }
                Add-ObserveProblem -Probe $Probe -Problem ('{0}: {1}' -f $path, (Get-ObserveReason -Exception $_.Exception))
            }
        }
    }
}

Function Read-ObserveReinstall {
    <#
    .SYNOPSIS
    Probe reinstall: what runs at start or logon, or is deployed, and holds a literal.
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
    $context = @{ filter = $filter; seen = @{}; kind = ''; depth = 0; only = ''; count = @{ number = 0 } }
    foreach ($place in $script:MachineEntries) {
        $one = $context.Clone()
        $one.kind = $place.kind
        $one.depth = $place.depth
        $one.count = @{ number = 0 }
        Read-ObserveMachineKey -Probe $Probe -Path $place.path -Context $one -Script $script:ReadEntries
    }
    $users = Open-ObserveBaseKey -Hive Users -View 64
    try {
        $loaded = @(Get-ObserveHive -Users $users)
        Add-ObserveUnloadedHive -Probe $Probe -Loaded $loaded -Literal $Literal
        $walk = @{ Probe = $Probe; Users = $users; Sid = $loaded; Place = $script:Entries; Context = $context }
        Read-ObserveSoftware @walk -Script $script:ReadEntries
        foreach ($place in $script:UserEntries) {
            $one = $context.Clone()
            $one.kind = $place.kind
            $one.depth = $place.depth
            $one.only = $place['only']
            foreach ($sid in $loaded) {
                $name = '{0}\{1}' -f $sid, $place.path
                $arguments = @{ Probe = $Probe; Key = $users; Name = $name; Label = "HKU\$name"; Context = $one }
                Use-ObserveSubKey @arguments -Script $script:ReadEntries
            }
        }
    }
    finally {
        $users.Dispose()
    }
    Read-ObserveScriptList -Probe $Probe -Folder $Folder -Context $context
    Read-ObserveStartupFolder -Probe $Probe -Folder $Folder -Path "$($Folder.programdata)\$script:Startup" -Context $context
    foreach ($one in @(Get-ObserveProfile -Probe $Probe -Loaded @())) {
        $path = '{0}\AppData\Roaming\{1}' -f (Expand-ObservePath -Path $one.path -Folder $Folder).TrimEnd('\'), $script:Startup
        Read-ObserveStartupFolder -Probe $Probe -Folder $Folder -Path $path -Context $context
    }
}

Export-ModuleMember -Function @(
    'Read-ObserveReinstall'
)
