# SPDX-License-Identifier: GPL-3.0-or-later

BeforeAll {
    $utils = Join-Path -Path $PSScriptRoot -ChildPath '../../../plugins/module_utils'
    foreach ($name in @('core', 'registry', 'cim', 'preflight_network')) {
        Import-Module -Name (Join-Path -Path $utils -ChildPath "_observe_$name.psm1") -Force -Global
    }
    . (Join-Path -Path $PSScriptRoot -ChildPath 'FakeRegistry.ps1')
    Mock -CommandName Open-ObserveBaseKey -ModuleName _observe_registry -MockWith { Open-FakeBaseKey -Hive $Hive -View $View }
    $global:Networks = @()
    Mock -CommandName Get-ObserveCim -ModuleName _observe_preflight_network -MockWith {
        @{ reason = ''; items = @($global:Networks | ForEach-Object { @{ NetworkCategory = $_ } }) }
    }
    $service = 'SYSTEM\CurrentControlSet\Services\mpssvc'
    $local = 'SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy'
    $policy = 'SOFTWARE\Policies\Microsoft\WindowsFirewall'
    $winrm = 'v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=5985|App=System|Name=WinRM|'

    Function Invoke-Firewall {
        param ([hashtable]$Registry, [int]$Port = 5985)
        Initialize-FakeRegistry -Machine64 $Registry
        Invoke-ObserveProbe -Timeout 60 -Script { param ($probe) Read-ObserveFirewallPort -Probe $probe -Port $Port }
        Get-FakeOpenKey | Should -Be 0 -Because 'every key that was opened must be disposed'
    }
    Function Get-Allowed {
        param ([object]$Answer)
        @($Answer.records | ForEach-Object { '{0} {1} {2}' -f $_.profile, $_.enabled, $_.allowed })
    }
    Function New-Machine {
        param ([string[]]$Rule = @(), [hashtable]$Change = @{})
        $values = @{}
        for ($number = 0; $number -lt $Rule.Count; $number++) { $values["rule$number"] = $Rule[$number] }
        $tree = @{ $service = @{ Start = 2 }; "$local\FirewallRules" = $values }
        foreach ($path in @($Change.Keys)) { $tree[$path] = $Change[$path] }
        $tree
    }
    Function Invoke-Egress {
        param ([string[]]$Endpoint, [string]$Proxy = '')
        Invoke-ObserveProbe -Timeout 60 -Script { param ($probe) Read-ObserveEgress -Probe $probe -Endpoint $Endpoint -Proxy $Proxy }
    }
    # A server that takes one connection and answers it, in a runspace of its own.
    Function New-Answer {
        param ([string]$Text)
        $listener = New-Object -TypeName System.Net.Sockets.TcpListener -ArgumentList @([System.Net.IPAddress]::Loopback, 0)
        $listener.Start()
        $shell = [System.Management.Automation.PowerShell]::Create()
        [void]$shell.AddScript({
                param ($listener, $text)
                $client = $listener.AcceptTcpClient()
                $stream = $client.GetStream()
                $buffer = New-Object -TypeName byte[] -ArgumentList 512
                $count = $stream.Read($buffer, 0, 512)
                $bytes = [System.Text.Encoding]::ASCII.GetBytes($text)
                $stream.Write($bytes, 0, $bytes.Length)
                $client.Close()
                [System.Text.Encoding]::ASCII.GetString($buffer, 0, $count)
            }).AddArgument($listener).AddArgument($Text)
        @{ listener = $listener; shell = $shell; handle = $shell.BeginInvoke(); port = $listener.LocalEndpoint.Port }
    }
}

Describe 'egress' {
    It 'tells open from refused' {
        $listener = New-Object -TypeName System.Net.Sockets.TcpListener -ArgumentList @([System.Net.IPAddress]::Loopback, 0)
        $listener.Start()
        $open = $listener.LocalEndpoint.Port
        $closed = New-Object -TypeName System.Net.Sockets.TcpListener -ArgumentList @([System.Net.IPAddress]::Loopback, 0)
        $closed.Start()
        $refused = $closed.LocalEndpoint.Port
        $closed.Stop()
        try {
            $answer = Invoke-Egress -Endpoint @("127.0.0.1:$open", "127.0.0.1:$refused", "127.0.0.1:$open")
        }
        finally {
            $listener.Stop()
        }
        @($answer.records | ForEach-Object { '{0} {1}' -f $_.endpoint, $_.state }) | Should -Be @("127.0.0.1:$open open", "127.0.0.1:$refused refused")
        $answer.status | Should -Be 'ok'
    }

    It 'knows a name that nobody has' {
        (Invoke-Egress -Endpoint @('no-such-host.invalid:443')).records[0].state | Should -Be 'unresolved'
    }

    It 'waits for all endpoints together and no longer than its time' {
        # Its queue is full after the first ones, so later connections get no answer.
        $listener = New-Object -TypeName System.Net.Sockets.TcpListener -ArgumentList @([System.Net.IPAddress]::Loopback, 0)
        $listener.Start(1)
        $port = $listener.LocalEndpoint.Port
        $clients = New-Object -TypeName System.Collections.ArrayList
        foreach ($number in 1..8) {
            $client = New-Object -TypeName System.Net.Sockets.TcpClient
            [void]$clients.Add($client)
            $null = $client.ConnectAsync('127.0.0.1', $port)
        }
        [System.Threading.Thread]::Sleep(300)
        $watch = [System.Diagnostics.Stopwatch]::StartNew()
        try {
            $answer = Invoke-Egress -Endpoint @("127.0.0.1:$port", "localhost.:$port", "127.0.0.2:$port")
        }
        finally {
            foreach ($client in $clients) { $client.Close() }
            $listener.Stop()
        }
        $watch.Elapsed.TotalSeconds | Should -BeLessThan 5
        $answer.records[0].state | Should -Be 'timeout'
        $answer.records[0].detail | Should -Be 'no answer within 3 s'
    }

    It 'reads <text> as <name> <port>' -ForEach @(
        @{ text = 'a.example:443'; name = 'a.example'; port = 443 }
        @{ text = '[2001:db8::1]:80'; name = '2001:db8::1'; port = 80 }
        @{ text = 'a.example'; name = $null; port = 0 }
        @{ text = 'https://a.example:443'; name = $null; port = 0 }
        @{ text = 'a.example:0'; name = $null; port = 0 }
        @{ text = 'a.example:70000'; name = $null; port = 0 }
        @{ text = ''; name = $null; port = 0 }
    ) {
        $found = ConvertFrom-ObserveEndpoint -Text $text
        if ($null -eq $name) { $found | Should -BeNullOrEmpty } else { '{0} {1}' -f $found.name, $found.port | Should -Be "$name $port" }
    }

    It 'names an endpoint that is none' {
        $answer = Invoke-Egress -Endpoint @('a.example')
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -Be 'a.example: an endpoint is given as host:port'
    }

    It 'asks a proxy for a tunnel: <line>' -ForEach @(
        @{ line = 'HTTP/1.1 200 Connection established'; state = 'open' }
        @{ line = 'HTTP/1.1 403 Forbidden'; state = 'refused' }
        @{ line = 'SSH-2.0-x'; state = 'refused' }
    ) {
        $server = New-Answer -Text "$line`r`n`r`n"
        try {
            $answer = Invoke-Egress -Endpoint @('far.example:443') -Proxy "127.0.0.1:$($server.port)"
            $asked = $server.shell.EndInvoke($server.handle)
        }
        finally {
            $server.listener.Stop()
            $server.shell.Dispose()
        }
        [string]$asked | Should -BeLike 'CONNECT far.example:443 HTTP/1.1*'
        $answer.records[0].state | Should -Be $state
        $answer.records[0].detail | Should -Be "proxy 127.0.0.1:$($server.port): $line"
    }
}

Describe 'firewall' {
    It 'lets in what a rule allows, in the profiles the rule names' {
        $answer = Invoke-Firewall -Registry (New-Machine -Rule @("${winrm}Profile=Domain|Profile=Private|"))
        Get-Allowed -Answer $answer | Should -Be @('domain yes yes', 'private yes yes', 'public yes no')
        $answer.records[0].detail | Should -Be 'allow WinRM'
        $answer.records[2].detail | Should -Be 'no rule allows it'
        $answer.records[0].port | Should -Be '5985'
        $answer.status | Should -Be 'ok'
    }

    It 'says which profiles are in force, where Windows says it' {
        $machine = New-Machine -Rule @("${winrm}Profile=Domain|")
        (Invoke-Firewall -Registry $machine).records[0].Contains('current') | Should -BeFalse
        try {
            $global:Networks = @(2, 0)
            @((Invoke-Firewall -Registry $machine).records | ForEach-Object { $_.current }) | Should -Be @('yes', 'no', 'yes')
        }
        finally {
            $global:Networks = @()
        }
    }

    It 'is <allowed> with <label>' -ForEach @(
        @{ label = 'no rule'; rules = @(); allowed = 'no' }
        @{ label = 'a rule that is off'; rules = @('v2.31|Action=Allow|Active=FALSE|Dir=In|Protocol=6|LPort=5985|'); allowed = 'no' }
        @{ label = 'a rule for what goes out'; rules = @('v2.31|Action=Allow|Active=TRUE|Dir=Out|Protocol=6|LPort=5985|'); allowed = 'no' }
        @{ label = 'a rule for UDP'; rules = @('v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=17|LPort=5985|'); allowed = 'no' }
        @{ label = 'another port'; rules = @('v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=598|'); allowed = 'no' }
        @{ label = 'a range'; rules = @('v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort2_10=5000-6000|'); allowed = 'yes' }
        @{ label = 'several ports'; rules = @('v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=80|LPort=5985|'); allowed = 'yes' }
        @{ label = 'everything'; rules = @('v2.31|Action=Allow|Active=TRUE|Dir=In|'); allowed = 'yes' }
        @{ label = 'all ports of a program'; rules = @('v2.31|Action=Allow|Active=TRUE|Dir=In|App=C:\x.exe|'); allowed = 'no' }
        @{ label = 'some addresses only'; rules = @('v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=5985|App=System|RA4=LocalSubnet|'); allowed = 'unknown' }
        @{ label = 'IPsec only'; rules = @('v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=5985|Security=Authenticate|'); allowed = 'unknown' }
        @{ label = 'a block beside it'; rules = @('v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=5985|', 'v2.31|Action=Block|Active=TRUE|Dir=In|Protocol=6|LPort=5985|'); allowed = 'no' }
        @{ label = 'a block of some addresses'; rules = @('v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=5985|', 'v2.31|Action=Block|Active=TRUE|Dir=In|RA4=10.0.0.0/255.0.0.0|'); allowed = 'unknown' }
    ) {
        $answer = Invoke-Firewall -Registry (New-Machine -Rule $rules)
        @($answer.records | ForEach-Object { $_.allowed } | Sort-Object -Unique) | Should -Be @($allowed)
    }

    It 'knows the program of ssh' {
        $rule = 'v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=22|App=%SystemRoot%\System32\OpenSSH\sshd.exe|Name=ssh|'
        (Invoke-Firewall -Registry (New-Machine -Rule @($rule)) -Port 22).records[0].allowed | Should -Be 'yes'
    }

    It 'puts a policy first' {
        $change = @{
            "$policy\DomainProfile" = @{ EnableFirewall = 0 }
            "$policy\StandardProfile" = @{ AllowLocalPolicyMerge = 0 }
            "$policy\PublicProfile" = @{ DoNotAllowExceptions = 1 }
            "$local\DomainProfile" = @{ EnableFirewall = 1 }
        }
        $answer = Invoke-Firewall -Registry (New-Machine -Rule @($winrm) -Change $change)
        Get-Allowed -Answer $answer | Should -Be @('domain no yes', 'private yes no', 'public yes no')
        $change["$policy\FirewallRules"] = @{ a = $winrm }
        (Invoke-Firewall -Registry (New-Machine -Change $change)).records[1].allowed | Should -Be 'yes'
    }

    It 'lets all in by default where it is set so' {
        $change = @{ "$local\PublicProfile" = @{ DefaultInboundAction = 0 } }
        Get-Allowed -Answer (Invoke-Firewall -Registry (New-Machine -Change $change)) | Should -Be @('domain yes no', 'private yes no', 'public yes yes')
    }

    It 'lets all in while its service is disabled' {
        $answer = Invoke-Firewall -Registry (New-Machine -Change @{ $service = @{ Start = 4 } })
        Get-Allowed -Answer $answer | Should -Be @('domain no yes', 'private no yes', 'public no yes')
        $answer.records[0].detail | Should -Be 'its service is disabled'
    }

    It 'does not know without the service, or when rules are closed' {
        (Invoke-Firewall -Registry @{}).reason | Should -Be 'no service mpssvc (Windows Firewall)'
        $answer = Invoke-Firewall -Registry (New-Machine -Change @{ "$local\FirewallRules" = 'denied:values' })
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -BeLike '*FirewallRules: access denied'
    }
}
