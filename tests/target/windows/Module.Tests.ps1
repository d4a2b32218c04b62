# SPDX-License-Identifier: GPL-3.0-or-later

# The module as a whole with a small stand-in for Ansible.Basic. Off Windows nearly every source fails here, and that is
# the point: whatever fails, all probes answer. On Windows the same tests see the real registry.

BeforeAll {
    $plugins = Join-Path -Path $PSScriptRoot -ChildPath '../../../plugins'
    $parts = @(
        'core', 'registry', 'files', 'hives', 'cim', 'products', 'services', 'host', 'filters', 'trust', 'tasks', 'apps', 'startup'
        'protection', 'context', 'run', 'preflight', 'preflight_defender', 'preflight_files', 'preflight_network'
        'preflight_security', 'preflight_run'
    )
    foreach ($name in $parts) {
        Import-Module -Name (Join-Path -Path $plugins -ChildPath "module_utils/_observe_$name.psm1") -Force -Global
    }
    foreach ($name in @('_ObserveNative', '_ObserveHive', '_ObservePreflight')) {
        $source = Join-Path -Path $plugins -ChildPath "module_utils/$name.cs"
        Add-Type -TypeDefinition ([System.IO.File]::ReadAllText($source))
    }
    Add-Type -TypeDefinition @'
using System.Collections;
namespace Ansible.Basic
{
    public class AnsibleModule
    {
        public delegate void WriteLineHandler(string line);
        public static WriteLineHandler WriteLine;
        public static Hashtable Next;
        public static AnsibleModule Last;
        public Hashtable Params = new Hashtable();
        public Hashtable Result = new Hashtable();
        public Hashtable Spec;
        public bool Done;
        public static AnsibleModule Create(object args, IDictionary spec)
        {
            Last = new AnsibleModule();
            Last.Params = Next;
            Last.Spec = (Hashtable)spec;
            Last.Result["changed"] = false;
            return Last;
        }
        public void FailJson(string message) { throw new System.InvalidOperationException(message); }
        public void ExitJson() { Done = true; }
    }
}
'@
    # Off Windows each call of its API is searched for in vain, which takes long for all processes.
    Mock -CommandName Get-ObserveProcess -ModuleName _observe_services -MockWith { @{ pid = $PID; name = 'pwsh' } }
    $probes = @(
        'appx', 'certificates', 'class_filters', 'drivers', 'encryption', 'extensions', 'firewall_rules', 'host', 'minifilters'
        'network', 'paths', 'processes', 'protection', 'reboot', 'registry.machine', 'registry.users', 'reinstall', 'roles'
        'services', 'sessions', 'tasks', 'uninstall.machine', 'uninstall.users'
    )

    Function Invoke-Module {
        param ([hashtable]$Change = @{}, [AllowNull()][hashtable]$Preflight = $null)
        $arguments = @{
            drivers = @('klif')
            paths = @('%ProgramFiles%\Kaspersky Lab')
            processes = @('no-such-program')
            product_codes = @()
            registry_roots = @('SOFTWARE\KasperskyLab')
            registry_values = @('Version')
            services = @('klnagent')
            timeout = 30
            uninstall = @('kaspersky')
            user_registry_roots = @('Software\KasperskyLab')
            appx = @('kaspersky')
            certificates = @('kaspersky')
            class_filters = @('klmouflt')
            extensions = @('kaspersky')
            firewall_rules = @('kaspersky')
            hives = @('kaspersky')
            minifilters = @('klif')
            network = @('klim6')
            reinstall = @('kaspersky')
            tasks = @('kaspersky')
        }
        foreach ($name in @($Change.Keys)) { $arguments[$name] = $Change[$name] }
        if ($null -ne $Preflight) {
            $asked = @{ codes = @(); endpoints = @(); ports = @(); proxy = @(); stores = @(); vaults = @() }
            foreach ($name in @($Preflight.Keys)) { $asked[$name] = $Preflight[$name] }
            $arguments = @{ observe = $arguments; preflight = $asked }
        }
        [Ansible.Basic.AnsibleModule]::Next = $arguments
        $file = if ($null -ne $Preflight) { 'win_observe_plan.ps1' } else { 'win_observe.ps1' }
        & (Join-Path -Path $plugins -ChildPath "modules/$file")
        [Ansible.Basic.AnsibleModule]::Last
    }
    $planned = @(
        'defender', 'desktop', 'egress', 'enforcement', 'firewall', 'installer', 'msi', 'protected_services', 'quarantine'
        'resources', 'space', 'tools', 'vaults'
    )
}

Describe 'win_observe' {
    It 'answers all probes whatever fails' {
        $module = Invoke-Module
        $module.Done | Should -BeTrue
        $observation = $module.Result.observation
        @($observation.Keys | Sort-Object) | Should -Be @('collector', 'host', 'platform', 'probes', 'schema')
        $observation.schema | Should -Be 'evict.kaspersky/observation/1'
        @($observation.probes.Keys | Sort-Object) | Should -Be $probes
        foreach ($name in $probes) {
            $probe = $observation.probes[$name]
            @($probe.Keys | Sort-Object) | Should -Be @('reason', 'records', 'status')
            $probe.status | Should -BeIn @('ok', 'absent', 'unknown')
            if ($probe.status -eq 'unknown') { $probe.reason | Should -Not -BeNullOrEmpty } else { $probe.reason | Should -Be '' }
            foreach ($record in $probe.records) {
                foreach ($value in $record.Values) { $value.GetType().FullName | Should -Be 'System.String' }
            }
        }
        @($observation.host.Keys).Count | Should -Be 11
    }

    It 'returns nothing that Ansible could take for a result of its own' {
        @((Invoke-Module).Result.Keys | Sort-Object) | Should -Be @('changed', 'observation')
    }

    It 'keeps lists lists in JSON' {
        $json = ConvertTo-Json -InputObject (Invoke-Module).Result -Depth 99 -Compress
        [regex]::Matches($json, '"records":\[').Count | Should -Be $probes.Count
    }

    It 'writes JSON that no code page can spoil' {
        $null = Invoke-Module
        $cyrillic = [string][char]0x041A + [char]0x0430
        $pair = [string][char]0xD83D + [char]0xDE00
        $json = ConvertTo-Json -InputObject @{ name = "a $cyrillic ~ $pair" } -Compress
        $saved = [Console]::Out
        $written = New-Object -TypeName System.IO.StringWriter
        [Console]::SetOut($written)
        try {
            [Ansible.Basic.AnsibleModule]::WriteLine.Invoke($json)
        }
        finally {
            [Console]::SetOut($saved)
        }
        $written.ToString().Trim() | Should -BeExactly '{"name":"a \u041a\u0430 ~ \ud83d\ude00"}'
        (ConvertFrom-Json -InputObject $written.ToString()).name | Should -BeExactly "a $cyrillic ~ $pair"
    }

    It 'refuses an empty literal' {
        { Invoke-Module -Change @{ services = @('a', ' ') } } | Should -Throw -ExpectedMessage '*services: a literal must not be empty*'
    }

    It 'refuses a timeout of nothing' {
        { Invoke-Module -Change @{ timeout = 0 } } | Should -Throw -ExpectedMessage '*timeout: must be 1 or more seconds*'
    }

    It 'changes nothing in check mode or out of it' {
        $module = Invoke-Module
        $module.Spec.supports_check_mode | Should -BeTrue
        $module.Result.changed | Should -BeFalse
    }
}

Describe 'win_observe_plan' {
    It 'answers the preflight probes beside all others, whatever fails' {
        $asked = @{
            codes = @('{6E0F4C52-5B7A-4D0E-9C39-2B1A7F3D0C01}'); endpoints = @('127.0.0.1:1'); ports = @(5985)
            stores = @('%ProgramData%\Kaspersky Lab'); vaults = @('%LocalAppData%\Kaspersky Lab')
        }
        $module = Invoke-Module -Preflight $asked
        $module.Done | Should -BeTrue
        $found = $module.Result.observation.probes
        @($found.Keys | Sort-Object) | Should -Be @($probes + $planned | Sort-Object)
        foreach ($name in $planned) {
            $probe = $found[$name]
            @($probe.Keys | Sort-Object) | Should -Be @('reason', 'records', 'status')
            if ($probe.status -eq 'unknown') { $probe.reason | Should -Not -BeNullOrEmpty } else { $probe.reason | Should -Be '' }
            foreach ($record in $probe.records) {
                foreach ($value in $record.Values) { $value.GetType().FullName | Should -Be 'System.String' }
            }
        }
        $found['egress'].records[0].endpoint | Should -Be '127.0.0.1:1'
        $json = ConvertTo-Json -InputObject $module.Result -Depth 99 -Compress
        [regex]::Matches($json, '"records":\[').Count | Should -Be ($probes.Count + $planned.Count)
        @($module.Result.Keys | Sort-Object) | Should -Be @('changed', 'observation')
        $module.Result.changed | Should -BeFalse
        $module.Spec.supports_check_mode | Should -BeTrue
    }

    It 'asks nothing it was not told to' {
        $found = (Invoke-Module -Preflight @{}).Result.observation.probes
        foreach ($name in @('egress', 'firewall', 'quarantine', 'vaults')) { $found[$name].status | Should -Be 'absent' -Because $name }
    }

    It 'knows the options of win_observe' {
        Mock -CommandName Invoke-ObserveAll -MockWith { $global:Asked = $Literal; @{ host = @{}; probes = @{ services = @{ status = 'ok'; reason = ''; records = @() }; 'uninstall.machine' = @{ status = 'ok'; reason = ''; records = @() } } } }
        $names = @((Invoke-Module).Spec.options.Keys | Where-Object { $_ -ne 'timeout' } | Sort-Object)
        $null = Invoke-Module -Preflight @{}
        @($global:Asked.Keys | Sort-Object) | Should -Be $names
        Remove-Variable -Name Asked -Scope Global
    }

    It 'refuses <label>' -ForEach @(
        @{ label = 'an option that win_observe does not have'; change = @{ servces = @('x') }; ask = @{}; word = '*win_observe has no option servces*' }
        @{ label = 'an empty literal'; change = @{ services = @('') }; ask = @{}; word = '*services: a literal must not be empty*' }
        @{ label = 'an empty endpoint'; change = @{}; ask = @{ endpoints = @(' ') }; word = '*endpoints: a literal must not be empty*' }
        @{ label = 'a port that is none'; change = @{}; ask = @{ ports = @(70000) }; word = '*ports: 70000 is no port*' }
        @{ label = 'a timeout of nothing'; change = @{ timeout = 0 }; ask = @{}; word = '*timeout: must be 1 or more seconds*' }
    ) {
        { Invoke-Module -Change $change -Preflight $ask } | Should -Throw -ExpectedMessage $word
    }
}
