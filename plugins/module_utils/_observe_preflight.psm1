# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection; may change without notice.
# What an act would meet on this host, for win_observe_plan: Windows Installer, room, memory, programs. Context
# only; nothing is changed, no mutex taken, no service started.

#AnsibleRequires -CSharpUtil ..module_utils._ObservePreflight
#AnsibleRequires -PowerShell ..module_utils._observe_core
#AnsibleRequires -PowerShell ..module_utils._observe_registry
#AnsibleRequires -PowerShell ..module_utils._observe_files
#AnsibleRequires -PowerShell ..module_utils._observe_services

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$script:ServicesKey = 'SYSTEM\CurrentControlSet\Services'
$script:Windows = 'SOFTWARE\Microsoft\Windows\CurrentVersion'
$script:InProgress = "$script:Windows\Installer\InProgress"
$script:Servicing = "$script:Windows\Component Based Servicing\SessionsPending"
$script:InstallerPolicy = 'SOFTWARE\Policies\Microsoft\Windows\Installer'
$script:InstallerMutex = 'Global\_MSIExecute'
# Programs that the acts of a plan use -> where they are (%variables%).
$script:Tools = [ordered]@{
    'dism' = '%SystemRoot%\System32\Dism.exe'
    'msiexec' = '%SystemRoot%\System32\msiexec.exe'
    'netsh' = '%SystemRoot%\System32\netsh.exe'
    'powershell' = '%SystemRoot%\System32\WindowsPowerShell\v1.0\powershell.exe'
    'sc' = '%SystemRoot%\System32\sc.exe'
    'schtasks' = '%SystemRoot%\System32\schtasks.exe'
    'shutdown' = '%SystemRoot%\System32\shutdown.exe'
}
$script:DefenderPlatform = '%ProgramData%\Microsoft\Windows Defender\Platform'
$script:DefenderProgram = '%ProgramFiles%\Windows Defender\MpCmdRun.exe'

Function Get-ObserveMutex {
    <#
    .SYNOPSIS
    Is there such a mutex: none, free or held. It is looked at and never taken. Throws when that cannot be told.
    #>
    [OutputType([string])]
    param ([string]$Name)

    $type = 'ansible_collections.evict.kaspersky.plugins.module_utils._ObservePreflight.Mutex' -as [type]
    if ($null -eq $type) {
        throw 'the call of Windows is not to be had'
    }
    $type::State($Name)
}

Function Get-ObserveMemory {
    <#
    .SYNOPSIS
    Memory in bytes: all, available. Throws when that cannot be told.
    #>
    [OutputType([long[]])]
    param ()

    $type = 'ansible_collections.evict.kaspersky.plugins.module_utils._ObservePreflight.Memory' -as [type]
    if ($null -eq $type) {
        throw 'the call of Windows is not to be had'
    }
    [long[]]$type::Bytes()
}

Function Get-ObserveFreeSpace {
    <#
    .SYNOPSIS
    Bytes that this account may still write to a drive. Throws when that cannot be told.
    #>
    [OutputType([long])]
    param ([string]$Letter)

    (New-Object -TypeName System.IO.DriveInfo -ArgumentList "${Letter}:\").AvailableFreeSpace
}

Function Read-ObserveInstaller {
    <#
    .SYNOPSIS
    Probe installer: does Windows Installer or the servicing of Windows work on something now, may they work at all.
    #>
    param ([hashtable]$Probe)

    Read-ObserveMachineKey -Probe $Probe -Path $script:InProgress -Script {
        param ($Probe, $Key, $Label, $Context)

        $what = ConvertTo-ObserveText -Value (Get-ObserveValue -Key $Key -Name '')
        $detail = if ($what) { '{0}: {1}' -f $Label, $what } else { $Label }
        Add-ObserveRecord -Probe $Probe -Record @{ kind = 'busy'; detail = $detail }
    }
    try {
        if ((Get-ObserveMutex -Name $script:InstallerMutex) -eq 'held') {
            Add-ObserveRecord -Probe $Probe -Record @{ kind = 'busy'; detail = "$script:InstallerMutex is held: an installation runs" }
        }
    }
    catch {
        $why = Get-ObserveReason -Exception $_.Exception
        Add-ObserveProblem -Probe $Probe -Problem ('{0}: {1}' -f $script:InstallerMutex, $why)
    }
    $states = Get-ObserveServiceState
    if ($null -ne $states -and $states['trustedinstaller'] -eq 'running') {
        # The service stays for some minutes after its work, so it must have a session as well.
        Read-ObserveMachineKey -Probe $Probe -Path $script:Servicing -Script {
            param ($Probe, $Key, $Label, $Context)

            $number = Get-ObserveValue -Key $Key -Name 'Exclusive'
            if ($number -is [int] -and $number -ne 0) {
                $detail = 'TrustedInstaller runs, {0}\Exclusive = {1}' -f $Label, $number
                Add-ObserveRecord -Probe $Probe -Record @{ kind = 'busy'; detail = $detail }
            }
        }
    }
    foreach ($service in @('msiserver', 'TrustedInstaller')) {
        $found = @{ there = $false }
        Read-ObserveMachineKey -Probe $Probe -Path "$script:ServicesKey\$service" -Context $found -Script {
            param ($Probe, $Key, $Label, $Context)

            $Context.there = $true
            if ((Get-ObserveValue -Key $Key -Name 'Start') -eq 4) {
                Add-ObserveRecord -Probe $Probe -Record @{ kind = 'service_disabled'; detail = "$Label\Start = 4" }
            }
        }
        if (-not $found.there -and $service -eq 'msiserver') {
            # Every Windows has it, so its absence is no answer.
            Add-ObserveProblem -Probe $Probe -Problem "no service $service"
        }
    }
    $policy = (Get-ObserveMachineValue -Path $script:InstallerPolicy -Name @('DisableMSI')).DisableMSI
    if ($policy -in @('1', '2')) {
        $detail = 'HKLM\{0}\DisableMSI = {1}' -f $script:InstallerPolicy, $policy
        Add-ObserveRecord -Probe $Probe -Record @{ kind = 'restricted_by_policy'; detail = $detail }
    }
}

Function Read-ObserveSpace {
    <#
    .SYNOPSIS
    Probe space: what is free on each drive that holds Windows, its programs or their data.
    #>
    param (
        [hashtable]$Probe,
        [hashtable]$Folder
    )

    $letters = foreach ($name in @('systemroot', 'programfiles', 'programdata')) {
        if ($Folder.ContainsKey($name) -and $Folder[$name] -match '^([A-Za-z]):') {
            $Matches[1].ToUpperInvariant()
        }
    }
    foreach ($letter in @($letters | Sort-Object -Unique)) {
        try {
            $free = Get-ObserveFreeSpace -Letter $letter
            Add-ObserveRecord -Probe $Probe -Record @{ path = "${letter}:\"; free_mib = [long][Math]::Floor($free / 1MB) }
        }
        catch {
            $why = Get-ObserveReason -Exception $_.Exception
            Add-ObserveProblem -Probe $Probe -Problem ('{0}:\: {1}' -f $letter, $why)
        }
    }
}

Function Read-ObserveResource {
    <#
    .SYNOPSIS
    Probe resources: processors and memory.
    #>
    param ([hashtable]$Probe)

    $record = @{ cpus = [System.Environment]::ProcessorCount; memory_mib = ''; available_mib = '' }
    try {
        $bytes = @(Get-ObserveMemory)
        $record.memory_mib = [long][Math]::Floor($bytes[0] / 1MB)
        $record.available_mib = [long][Math]::Floor($bytes[1] / 1MB)
    }
    catch {
        $why = Get-ObserveReason -Exception $_.Exception
        Add-ObserveProblem -Probe $Probe -Problem ('memory: {0}' -f $why)
    }
    Add-ObserveRecord -Probe $Probe -Record $record
}

Function Read-ObserveTool {
    <#
    .SYNOPSIS
    Probe tools: programs of Windows that acts use; of Defender's command line the newest one.
    #>
    param (
        [hashtable]$Probe,
        [hashtable]$Folder
    )

    $places = New-Object -TypeName System.Collections.Specialized.OrderedDictionary
    foreach ($name in @($script:Tools.Keys)) {
        $places[$name] = Expand-ObservePath -Path $script:Tools[$name] -Folder $Folder
    }
    $places['mpcmdrun'] = Expand-ObservePath -Path $script:DefenderProgram -Folder $Folder
    $platform = Expand-ObservePath -Path $script:DefenderPlatform -Folder $Folder
    try {
        if ((Get-ObserveFileType -Path $platform -Folder $Folder) -eq 'dir') {
            $versions = foreach ($entry in @(Get-ObserveEntry -Parent $platform -Pattern '*' -Folder $Folder)) {
                if ($entry -match '\\(\d+(\.\d+){3})-(\d+)$') {
                    @{ path = $entry; version = [version]$Matches[1]; build = [int]$Matches[3] }
                }
            }
            $newest = @($versions | Sort-Object -Property { $_.version }, { $_.build } | Select-Object -Last 1)
            if ($newest.Count -gt 0 -and (Test-ObserveFile -Path "$($newest[0].path)\MpCmdRun.exe" -Folder $Folder) -eq 'yes') {
                $places['mpcmdrun'] = "$($newest[0].path)\MpCmdRun.exe"
            }
        }
    }
    catch {
        $why = Get-ObserveReason -Exception $_.Exception
        Add-ObserveProblem -Probe $Probe -Problem ('{0}: {1}' -f $platform, $why)
    }
    foreach ($name in @($places.Keys)) {
        $there = Test-ObserveFile -Path $places[$name] -Folder $Folder
        if ($there -eq 'yes') {
            Add-ObserveRecord -Probe $Probe -Record @{ name = $name; path = $places[$name] }
        }
        elseif ($there -eq 'unknown') {
            Add-ObserveProblem -Probe $Probe -Problem ('{0}: cannot be looked at' -f $places[$name])
        }
    }
}

Export-ModuleMember -Function @(
    'Get-ObserveFreeSpace'
    'Get-ObserveMemory'
    'Get-ObserveMutex'
    'Read-ObserveInstaller'
    'Read-ObserveResource'
    'Read-ObserveSpace'
    'Read-ObserveTool'
)
