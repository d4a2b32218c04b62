# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection; may change without notice.
# The network before an act, for win_observe_plan: can this host reach what a plan needs, and would Windows Firewall let the
# management connection in once it is on its own again. Connections are opened and closed, nothing is sent but to a proxy.

#AnsibleRequires -PowerShell ..module_utils._observe_cim
#AnsibleRequires -PowerShell ..module_utils._observe_core
#AnsibleRequires -PowerShell ..module_utils._observe_registry

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

# Seconds all connections may take together.
$script:Patience = 3
$script:MaxEndpoints = 50
$script:FirewallKey = 'SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy'
$script:FirewallPolicyKey = 'SOFTWARE\Policies\Microsoft\WindowsFirewall'
$script:FirewallService = 'SYSTEM\CurrentControlSet\Services\mpssvc'
# What a connection failed with -> state.
$script:States = @{
    ConnectionRefused = 'refused'
    ConnectionReset = 'refused'
    AccessDenied = 'refused'
    HostNotFound = 'unresolved'
    TryAgain = 'unresolved'
    NoData = 'unresolved'
    NoRecovery = 'unresolved'
    TimedOut = 'timeout'
    HostUnreachable = 'unreachable'
    NetworkUnreachable = 'unreachable'
}
$script:Profiles = [ordered]@{
    Domain = @('DomainProfile')
    Private = @('PrivateProfile', 'StandardProfile')
    Public = @('PublicProfile')
}
# NetworkCategory of a network the host is on -> the profile it puts in force.
$script:Categories = @{ 0 = 'Public'; 1 = 'Private'; 2 = 'Domain' }
# Conditions of a rule that cannot be judged from here: it may let the controller in, or not.
$script:Conditions = @('RA4', 'RA6', 'RA42', 'RA62', 'LA4', 'LA6', 'IF', 'IFType', 'RPort', 'RPort2_10', 'Security', 'Security2', 'Security2_9', 'RUAuth', 'RMauth', 'LUAuth', 'LUOwn', 'AppPkgId', 'Platform', 'Platform2', 'TTK', 'TTK2_22', 'TTK2_27')

Function ConvertFrom-ObserveEndpoint {
    <#
    .SYNOPSIS
    host:port or [address]:port as name and port; $null when it is neither.
    #>
    [OutputType([hashtable])]
    param ([AllowEmptyString()][string]$Text)

    if ($Text -notmatch '^(?:\[(?<six>[0-9A-Fa-f:.]+)\]|(?<name>[^\s:/\[\]]+)):(?<port>\d{1,5})$') {
        return $null
    }
    $port = [int]$Matches['port']
    if ($port -lt 1 -or $port -gt 65535) {
        return $null
    }
    @{ name = $(if ($Matches.ContainsKey('six')) { $Matches['six'] } else { $Matches['name'] }); port = $port }
}

Function Get-ObserveFailure {
    <#
    .SYNOPSIS
    State and detail of a connection that failed.
    #>
    [OutputType([hashtable])]
    param ([System.Exception]$Exception)

    $inner = $Exception.GetBaseException()
    if ($inner -is [System.Net.Sockets.SocketException]) {
        $word = [string]$inner.SocketErrorCode
        $state = if ($script:States.ContainsKey($word)) { $script:States[$word] } else { 'unreachable' }
        return @{ state = $state; detail = $word }
    }
    @{ state = 'unreachable'; detail = Get-ObserveReason -Exception $Exception }
}

Function Step-ObserveConnection {
    <#
    .SYNOPSIS
    One look at a connection in the making; sets its state when that is known. Through a proxy it asks for a tunnel.
    #>
    param ([hashtable]$One)

    if (-not $One.task.IsCompleted) {
        return
    }
    if ($One.task.IsFaulted -or $One.task.IsCanceled) {
        $failure = if ($One.task.IsFaulted) { Get-ObserveFailure -Exception $One.task.Exception } else { @{ state = 'timeout'; detail = '' } }
        $One.state = $failure.state
        $One.detail = '{0}{1}' -f $One.prefix, $failure.detail
        if ($One.prefix -and $One.state -eq 'refused') {
            $One.detail = '{0}refuses connections' -f $One.prefix
        }
    }
    elseif (-not $One.prefix) {
        $One.state = 'open'
    }
    elseif ($null -eq $One.buffer) {
        try {
            $One.buffer = New-Object -TypeName byte[] -ArgumentList 256
            $ask = [System.Text.Encoding]::ASCII.GetBytes("CONNECT $($One.endpoint) HTTP/1.1`r`nHost: $($One.endpoint)`r`n`r`n")
            $stream = $One.client.GetStream()
            $stream.Write($ask, 0, $ask.Length)
            $One.task = $stream.ReadAsync($One.buffer, 0, $One.buffer.Length)
        }
        catch {
            $One.state = 'refused'
            $One.detail = '{0}{1}' -f $One.prefix, (Get-ObserveReason -Exception $_.Exception)
        }
    }
    else {
        $line = ([System.Text.Encoding]::ASCII.GetString($One.buffer, 0, $One.task.Result) -split "`r?`n", 2)[0]
        $One.state = if ($line -match '^HTTP/1\.\d 2\d\d\b') { 'open' } else { 'refused' }
        $One.detail = '{0}{1}' -f $One.prefix, $(if ($line) { $line } else { 'closed the connection' })
    }
}

Function Read-ObserveEgress {
    <#
    .SYNOPSIS
    Probe egress: a connection to each endpoint, all at the same time.
    .PARAMETER Proxy
    host:port of a proxy that is asked for a tunnel to each endpoint; empty for none.
    #>
    param (
        [hashtable]$Probe,
        [AllowEmptyCollection()][object[]]$Endpoint,
        [AllowEmptyString()][string]$Proxy = ''
    )

    $through = $null
    if ($Proxy) {
        $through = ConvertFrom-ObserveEndpoint -Text $Proxy
        if ($null -eq $through) {
            throw "${Proxy}: a proxy is given as host:port"
        }
    }
    $connections = New-Object -TypeName System.Collections.ArrayList
    try {
        foreach ($text in @($Endpoint | Select-Object -Unique)) {
            $at = ConvertFrom-ObserveEndpoint -Text $text
            if ($null -eq $at) {
                Add-ObserveProblem -Probe $Probe -Problem "${text}: an endpoint is given as host:port"
                continue
            }
            if ($connections.Count -ge $script:MaxEndpoints) {
                Add-ObserveProblem -Probe $Probe -Problem ('only the first {0:D} endpoints were tried' -f $script:MaxEndpoints)
                break
            }
            $one = @{ endpoint = $text; client = $null; task = $null; buffer = $null; state = ''; detail = ''; prefix = '' }
            if ($null -ne $through) {
                $one.prefix = "proxy ${Proxy}: "
                $at = $through
            }
            [void]$connections.Add($one)
            try {
                $one.client = New-Object -TypeName System.Net.Sockets.TcpClient
                $one.task = $one.client.ConnectAsync([string]$at.name, [int]$at.port)
            }
            catch {
                $failure = Get-ObserveFailure -Exception $_.Exception
                $one.state = $failure.state
                $one.detail = '{0}{1}' -f $one.prefix, $failure.detail
            }
        }
        $watch = [System.Diagnostics.Stopwatch]::StartNew()
        $open = @($connections | Where-Object { -not $_.state })
        while ($open.Count -gt 0 -and $watch.Elapsed.TotalSeconds -lt $script:Patience) {
            foreach ($one in $open) {
                Step-ObserveConnection -One $one
            }
            $open = @($open | Where-Object { -not $_.state })
            if ($open.Count -gt 0) {
                [System.Threading.Thread]::Sleep(20)
            }
        }
        foreach ($one in $connections) {
            if (-not $one.state) {
                $one.state = 'timeout'
                $one.detail = '{0}no answer within {1:D} s' -f $one.prefix, $script:Patience
            }
            Add-ObserveRecord -Probe $Probe -Record @{ endpoint = $one.endpoint; state = $one.state; detail = $one.detail }
        }
    }
    finally {
        foreach ($one in $connections) {
            if ($null -ne $one.client) {
                $one.client.Close()
            }
        }
    }
}

Function Test-ObservePort {
    <#
    .SYNOPSIS
    Do the ports of a rule (numbers, ranges, words such as RPC) hold this one?
    #>
    [OutputType([bool])]
    param (
        [object[]]$Text,
        [int]$Port
    )

    foreach ($piece in $Text) {
        if ($piece -match '^(\d+)(?:-(\d+))?$') {
            $last = if ($Matches.ContainsKey(2)) { [int]$Matches[2] } else { [int]$Matches[1] }
            if ($Port -ge [int]$Matches[1] -and $Port -le $last) {
                return $true
            }
        }
    }
    $false
}

Function ConvertFrom-ObserveRule {
    <#
    .SYNOPSIS
    A rule of Windows Firewall for this port, as hashtable with action, profiles (none: all), sure (nothing but the port is
    a condition) and name; $null for a rule that does not concern incoming TCP connections to it.
    #>
    [OutputType([hashtable])]
    param (
        [string]$Text,
        [int]$Port
    )

    $part = @{}
    foreach ($piece in $Text.Split('|')) {
        $name, $value = $piece -split '=', 2
        if ($null -ne $value) {
            if (-not $part.ContainsKey($name)) {
                $part[$name] = New-Object -TypeName System.Collections.ArrayList
            }
            [void]$part[$name].Add($value)
        }
    }
    $one = @{}
    foreach ($name in @('Action', 'Active', 'Dir', 'Protocol', 'App', 'Svc', 'Name')) {
        $one[$name] = if ($part.ContainsKey($name)) { [string]$part[$name][0] } else { '' }
    }
    if ($one.Active -ne 'TRUE' -or $one.Dir -ne 'In' -or $one.Protocol -notin @('', '6')) {
        return $null
    }
    $ports = @(foreach ($name in @('LPort', 'LPort2_10', 'LPort2_20', 'LPort2_24')) { if ($part.ContainsKey($name)) { $part[$name] } })
    if ($ports.Count -gt 0 -and -not (Test-ObservePort -Text $ports -Port $Port)) {
        return $null
    }
    # The listener of WinRM is the system itself, that of ssh its own program; the service name goes with either.
    $ours = $one.App -in @('', 'System') -or $one.App -match '(?i)\\sshd\.exe$'
    if (-not $ours -and $ports.Count -eq 0) {
        return $null
    }
    $conditions = @($script:Conditions | Where-Object { $part.ContainsKey($_) })
    @{
        action = $one.Action
        profiles = @(if ($part.ContainsKey('Profile')) { $part['Profile'] })
        sure = $ours -and $conditions.Count -eq 0 -and $one.Svc -in @('', '*', 'sshd', 'winrm')
        name = if ($one.Name) { $one.Name } else { $Text.Substring(0, [Math]::Min(80, $Text.Length)) }
    }
}

Function Get-ObserveRule {
    <#
    .SYNOPSIS
    The rules below one key that concern this port.
    #>
    param (
        [hashtable]$Probe,
        [string]$Path,
        [int]$Port
    )

    $found = @{ rules = New-Object -TypeName System.Collections.ArrayList; port = $Port }
    Read-ObserveMachineKey -Probe $Probe -Path $Path -Context $found -Script {
        param ($Probe, $Key, $Label, $Context)

        $values = Get-ObserveKeyValue -Probe $Probe -Key $Key -Label $Label
        foreach ($id in @($values.Keys)) {
            Assert-ObserveTime -Probe $Probe
            if ($values[$id] -is [string]) {
                $rule = ConvertFrom-ObserveRule -Text $values[$id] -Port $Context.port
                if ($null -ne $rule) {
                    [void]$Context.rules.Add($rule)
                }
            }
        }
    }
    $found.rules.ToArray()
}

Function Get-ObserveProfileSetting {
    <#
    .SYNOPSIS
    A setting of a profile: what a policy says, else what is set here, else what Windows does by itself.
    #>
    [OutputType([string])]
    param (
        [object[]]$Key,
        [string]$Name,
        [string]$Default
    )

    foreach ($root in @($script:FirewallPolicyKey, $script:FirewallKey)) {
        foreach ($one in $Key) {
            $value = (Get-ObserveMachineValue -Path "$root\$one" -Name @($Name))[$Name]
            if ($value) {
                return $value
            }
        }
    }
    $Default
}

Function Read-ObserveFirewallPort {
    <#
    .SYNOPSIS
    Probe firewall: for each profile, whether Windows Firewall would let a connection to this TCP port in. Rules with a
    condition that cannot be judged here make it "unknown".
    #>
    param (
        [hashtable]$Probe,
        [int]$Port
    )

    if (-not (Test-ObserveMachineKey -Path $script:FirewallService)) {
        # Every Windows has it, so its absence is no answer.
        throw 'no service mpssvc (Windows Firewall)'
    }
    $disabled = (Get-ObserveMachineValue -Path $script:FirewallService -Name @('Start')).Start -eq '4'
    # Where nobody says which profiles are in force, all count.
    $networks = Get-ObserveCim -Namespace 'root/StandardCimv2' -ClassName 'MSFT_NetConnectionProfile' -Property @('NetworkCategory') -Patience 2
    $current = @(foreach ($network in $networks.items) {
            if ($null -ne $network.NetworkCategory) {
                $script:Categories[[int]$network.NetworkCategory]
            }
        })
    $here = @(Get-ObserveRule -Probe $Probe -Path "$script:FirewallKey\FirewallRules" -Port $Port)
    $managed = @(
        Get-ObserveRule -Probe $Probe -Path "$script:FirewallPolicyKey\FirewallRules" -Port $Port
        Get-ObserveRule -Probe $Probe -Path "$script:FirewallKey\Mdm\FirewallRules" -Port $Port
    )
    foreach ($name in @($script:Profiles.Keys)) {
        $keys = $script:Profiles[$name]
        $enabled = (Get-ObserveProfileSetting -Key $keys -Name 'EnableFirewall' -Default '1') -ne '0'
        $record = @{ profile = $name.ToLowerInvariant(); enabled = $(if ($enabled -and -not $disabled) { 'yes' } else { 'no' }); port = $Port; allowed = 'yes'; detail = '' }
        if ($current.Count -gt 0) {
            $record.current = if ($current -contains $name) { 'yes' } else { 'no' }
        }
        $rules = @($managed)
        if ((Get-ObserveProfileSetting -Key $keys -Name 'AllowLocalPolicyMerge' -Default '1') -ne '0') {
            $rules += $here
        }
        $rules = @($rules | Where-Object { $_.profiles.Count -eq 0 -or $_.profiles -contains $name })
        $blocks = @($rules | Where-Object { $_.action -eq 'Block' })
        $allows = @($rules | Where-Object { $_.action -in @('Allow', 'ByPass') })
        $deciding = @()
        if ($record.enabled -eq 'no') {
            $record.detail = if ($disabled) { 'its service is disabled' } else { 'this profile is off' }
        }
        elseif ((Get-ObserveProfileSetting -Key $keys -Name 'DoNotAllowExceptions' -Default '0') -eq '1') {
            $record.allowed = 'no'
            $record.detail = 'this profile lets nothing in, whatever the rules'
        }
        elseif (@($blocks | Where-Object { $_.sure }).Count -gt 0) {
            # A rule that blocks goes before all that allow.
            $record.allowed = 'no'
            $deciding = @($blocks | Where-Object { $_.sure })
        }
        elseif ($blocks.Count -gt 0) {
            $record.allowed = 'unknown'
            $deciding = $blocks
        }
        elseif ((Get-ObserveProfileSetting -Key $keys -Name 'DefaultInboundAction' -Default '1') -eq '0') {
            $record.detail = 'this profile lets in what no rule blocks'
        }
        elseif (@($allows | Where-Object { $_.sure }).Count -gt 0) {
            $deciding = @($allows | Where-Object { $_.sure })
        }
        elseif ($allows.Count -gt 0) {
            $record.allowed = 'unknown'
            $deciding = $allows
        }
        else {
            $record.allowed = 'no'
            $record.detail = 'no rule allows it'
        }
        if ($deciding.Count -gt 0) {
            $condition = if ($record.allowed -eq 'unknown') { ' (with conditions)' } else { '' }
            $record.detail = '{0} {1}{2}' -f $deciding[0].action.ToLowerInvariant(), $deciding[0].name, $condition
        }
        Add-ObserveRecord -Probe $Probe -Record $record
    }
}

Export-ModuleMember -Function @(
    'ConvertFrom-ObserveEndpoint'
    'ConvertFrom-ObserveRule'
    'Read-ObserveEgress'
    'Read-ObserveFirewallPort'
)
