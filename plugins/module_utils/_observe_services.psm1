# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection; may change without notice.
# Services, drivers and processes for win_observe. The registry says what is registered, the service manager what runs.

#AnsibleRequires -CSharpUtil ..module_utils._ObserveNative
#AnsibleRequires -PowerShell ..module_utils._observe_core
#AnsibleRequires -PowerShell ..module_utils._observe_files
#AnsibleRequires -PowerShell ..module_utils._observe_registry

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$script:ServicesKey = 'SYSTEM\CurrentControlSet\Services'
$script:DriverBits = 0x0F
$script:ServiceBits = 0x30
$script:TypeNames = @{
    1 = 'kernel_driver'
    2 = 'file_system_driver'
    4 = 'adapter'
    8 = 'recognizer_driver'
    16 = 'own_process'
    32 = 'share_process'
}
$script:StartNames = @{
    0 = 'boot'
    1 = 'system'
    2 = 'auto'
    3 = 'manual'
    4 = 'disabled'
}
$script:StateNames = @{
    Stopped = 'stopped'
    StartPending = 'start_pending'
    StopPending = 'stop_pending'
    Running = 'running'
    ContinuePending = 'continue_pending'
    PausePending = 'pause_pending'
    Paused = 'paused'
}
# Kernel processes without a program file.
$script:NoImage = @(
    'Idle'
    'System'
    'Registry'
    'Secure System'
    'Memory Compression'
    'MemCompression'
    'vmmem'
    'vmmemWSL'
)

Function Get-ObserveServiceState {
    <#
    .SYNOPSIS
    What the service manager says runs: lower-case name -> state; $null when it does not answer. A state is not needed
    to tell that something is there, so a silent service manager is no failure.
    #>
    param ([switch]$Driver)

    try {
        Add-Type -AssemblyName System.ServiceProcess
        $controllers = if ($Driver) {
            [System.ServiceProcess.ServiceController]::GetDevices()
        }
        else {
            [System.ServiceProcess.ServiceController]::GetServices()
        }
    }
    catch {
        return $null
    }
    $states = @{}
    foreach ($controller in $controllers) {
        $name = $controller.ServiceName.ToLowerInvariant()
        $states[$name] = 'unknown'
        try {
            $word = [string]$controller.Status
            if ($script:StateNames.ContainsKey($word)) {
                $states[$name] = $script:StateNames[$word]
            }
        }
        catch {
            # It went away between the listing and the question.
            continue
        }
        finally {
            $controller.Dispose()
        }
    }
    $states
}

$script:ReadServiceDll = {
    param ($Probe, $Key, $Label, $Context)

    $value = Get-ObserveValue -Key $Key -Name 'ServiceDll'
    if ($value) {
        $Context.dll = ConvertTo-ObserveText -Value $value
    }
}

$script:ReadService = {
    param ($Probe, $Key, $Label, $Context)

    $type = Get-ObserveValue -Key $Key -Name 'Type'
    $bits = if ($type -is [int]) { $type } else { 0 }
    $wanted = if ($Context.driver) { $script:DriverBits } else { $script:ServiceBits }
    # A key without a type is what a half-removed service or driver leaves: it may be either.
    if ($bits -ne 0 -and ($bits -band $wanted) -eq 0) {
        return
    }
    $image = ConvertTo-ObserveText -Value (Get-ObserveValue -Key $Key -Name 'ImagePath')
    $display = ConvertTo-ObserveText -Value (Get-ObserveValue -Key $Key -Name 'DisplayName')
    $hosted = @{ dll = '' }
    if (-not $Context.driver -and $image -match 'svchost(\.exe)?("|\s|$)') {
        # Many services share this program; the library is what tells them apart.
        $name = ConvertTo-ObserveText -Value (Get-ObserveValue -Key $Key -Name 'ServiceDll')
        $hosted.dll = $name
        if (-not $name) {
            $arguments = @{
                Probe = $Probe
                Key = $Key
                Name = 'Parameters'
                Label = "$Label\Parameters"
                Script = $script:ReadServiceDll
                Context = $hosted
            }
            Use-ObserveSubKey @arguments
        }
    }
    if (-not (Test-ObserveFilter -Filter $Context.filter -Text @($Context.name, $display, $image, $hosted.dll))) {
        # Variables and short forms are resolved for the few that could match only by their folder.
        if ($image.IndexOf('%') -lt 0) {
            return
        }
        $expanded = Expand-ObservePath -Path $image -Folder $Context.folder
        if (-not (Test-ObserveFilter -Filter $Context.filter -Text @($expanded))) {
            return
        }
    }
    $path = ''
    if ($hosted.dll) {
        $path = Resolve-ObserveImage -Image $hosted.dll -Folder $Context.folder -Driver
    }
    elseif ($image) {
        $path = Resolve-ObserveImage -Image $image -Folder $Context.folder -Driver:$Context.driver
    }
    elseif ($Context.driver -and $bits -ne 0) {
        # Where Windows looks for a driver that names no file.
        $path = '{0}\System32\drivers\{1}.sys' -f $Context.folder.systemroot, $Context.name
    }
    $start = Get-ObserveValue -Key $Key -Name 'Start'
    $startName = ''
    if ($start -is [int] -and $script:StartNames.ContainsKey($start)) {
        $startName = $script:StartNames[$start]
    }
    $typeName = ''
    foreach ($bit in @($script:TypeNames.Keys | Sort-Object)) {
        if (($bits -band $bit) -ne 0) {
            $typeName = $script:TypeNames[$bit]
        }
    }
    $state = 'unknown'
    if ($null -ne $Context.states) {
        $lower = $Context.name.ToLowerInvariant()
        # Only a key: the service manager does not know it (made by hand, or half removed since the start).
        $state = if ($Context.states.ContainsKey($lower)) { $Context.states[$lower] } else { 'not_registered' }
    }
    Add-ObserveRecord -Probe $Probe -Record @{
        name = $Context.name
        display = $display
        type = $typeName
        image = $image
        path = $path
        file_exists = Test-ObserveFile -Path $path -Folder $Context.folder
        start = $startName
        state = $state
    }
}

$script:ReadServiceList = {
    param ($Probe, $Key, $Label, $Context)

    foreach ($name in @(Get-ObserveSubKeyName -Probe $Probe -Key $Key -Label $Label)) {
        $one = $Context.Clone()
        $one.name = $name
        $arguments = @{
            Probe = $Probe
            Key = $Key
            Name = $name
            Label = "$Label\$name"
            Script = $script:ReadService
            Context = $one
        }
        Use-ObserveSubKey @arguments -Listed
    }
}

Function Read-ObserveService {
    <#
    .SYNOPSIS
    Probes services and drivers (-Driver): registered ones whose name or program holds a literal.
    #>
    param (
        [hashtable]$Probe,
        [hashtable]$Folder,
        [AllowEmptyCollection()][object[]]$Literal,
        [switch]$Driver
    )

    if (-not $Literal) {
        return
    }
    $context = @{
        name = ''
        driver = [bool]$Driver
        filter = New-ObserveFilter -Literal $Literal
        folder = $Folder
        states = Get-ObserveServiceState -Driver:$Driver
    }
    $base = Open-ObserveBaseKey -Hive LocalMachine -View 64
    try {
        $arguments = @{
            Probe = $Probe
            Key = $base
            Name = $script:ServicesKey
            Label = "HKLM\$script:ServicesKey"
            Script = $script:ReadServiceList
            Context = $context
        }
        # Every Windows has this key, so its absence is no answer.
        Use-ObserveSubKey @arguments -Listed
    }
    finally {
        $base.Dispose()
    }
}

Function Get-ObserveProcess {
    <#
    .SYNOPSIS
    The processes that run: hashtables with pid and name (as .NET gives it, without ".exe").
    #>
    param ()

    foreach ($process in [System.Diagnostics.Process]::GetProcesses()) {
        try {
            @{ pid = $process.Id; name = $process.ProcessName }
        }
        catch {
            # It ended between the listing and the question for its name.
            continue
        }
        finally {
            $process.Dispose()
        }
    }
}

Function Get-ObserveProcessPath {
    <#
    .SYNOPSIS
    The program file of a process, '' when none of the three sources can tell: a handle with the least rights (protected
    processes grant it), the kernel's own list, and .NET for a host where those calls are not to be had.
    #>
    [OutputType([string])]
    param ([int]$ProcessId)

    $type = 'ansible_collections.evict.kaspersky.plugins.module_utils._ObserveNative.ProcessImage' -as [type]
    foreach ($method in @('FromHandle', 'FromSystem')) {
        try {
            $path = if ($null -ne $type) { $type::$method($ProcessId) } else { '' }
        }
        catch {
            # Not this Windows: the next source.
            $path = ''
        }
        if ($path) {
            return $path
        }
    }
    try {
        $process = [System.Diagnostics.Process]::GetProcessById($ProcessId)
        try {
            [string]$process.MainModule.FileName
        }
        finally {
            $process.Dispose()
        }
    }
    catch {
        ''
    }
}

Function Read-ObserveProcess {
    <#
    .SYNOPSIS
    Probe processes: those whose name or program file holds a literal.
    .PARAMETER Elevated
    yes or no: only an administrator is sure to see every path.
    #>
    param (
        [hashtable]$Probe,
        [AllowEmptyCollection()][object[]]$Literal,
        [string]$Elevated
    )

    if (-not $Literal) {
        return
    }
    $filter = New-ObserveFilter -Literal $Literal
    $hidden = 0
    foreach ($process in @(Get-ObserveProcess)) {
        Assert-ObserveTime -Probe $Probe
        if ($process.pid -eq 0) {
            continue
        }
        $path = Get-ObserveProcessPath -ProcessId $process.pid
        $name = $process.name
        if ($path) {
            $name = $path.Substring($path.LastIndexOf('\') + 1)
        }
        elseif ($name -notmatch '\.(com|scr|pif)$') {
            $name += '.exe'
        }
        if (Test-ObserveFilter -Filter $filter -Text @($name, $process.name, $path)) {
            Add-ObserveRecord -Probe $Probe -Record @{ pid = $process.pid; name = $name; path = $path }
        }
        elseif (-not $path -and $script:NoImage -notcontains $process.name) {
            $hidden++
        }
    }
    if ($hidden -gt 0 -and $Elevated -ne 'yes') {
        $problem = 'the program of {0:D} processes cannot be read without administrator rights' -f $hidden
        Add-ObserveProblem -Probe $Probe -Problem $problem
    }
}

Export-ModuleMember -Function @(
    'Get-ObserveProcess'
    'Get-ObserveProcessPath'
    'Get-ObserveServiceState'
    'Read-ObserveProcess'
    'Read-ObserveService'
)
