# SPDX-License-Identifier: GPL-3.0-or-later

BeforeAll {
    $utils = Join-Path -Path $PSScriptRoot -ChildPath '../../../plugins/module_utils'
    $parts = @('core', 'registry', 'files', 'hives', 'services', 'preflight', 'preflight_files')
    foreach ($name in $parts) {
        Import-Module -Name (Join-Path -Path $utils -ChildPath "_observe_$name.psm1") -Force -Global
    }
    . (Join-Path -Path $PSScriptRoot -ChildPath 'FakeRegistry.ps1')
    foreach ($module in @('_observe_registry', '_observe_hives')) {
        Mock -CommandName Open-ObserveBaseKey -ModuleName $module -MockWith { Open-FakeBaseKey -Hive $Hive -View $View }
    }
    Mock -CommandName Get-ObserveServiceState -ModuleName _observe_preflight -MockWith { $global:States }
    Mock -CommandName Get-ObserveMutex -ModuleName _observe_preflight -MockWith {
        if ($global:Mutex -eq 'broken') { throw 'no such call' }
        $global:Mutex
    }
    # Folder -> names in it; a name with "\" at its end is a folder of its own. $null refuses to be listed.
    foreach ($module in @('_observe_preflight', '_observe_preflight_files', '_observe_files')) {
        Mock -CommandName Get-ObserveEntry -ModuleName $module -MockWith {
            if (-not $global:Tree.ContainsKey($Parent)) { return }
            if ($null -eq $global:Tree[$Parent]) { throw (New-Object -TypeName System.UnauthorizedAccessException) }
            foreach ($name in $global:Tree[$Parent]) {
                $name = $name.TrimEnd('\')
                if ($name -like $Pattern) { '{0}\{1}' -f $Parent, $name }
            }
        }
        Mock -CommandName Get-ObserveFileType -ModuleName $module -MockWith {
            $clean = $Path.TrimEnd('\')
            if ($global:Tree.ContainsKey($clean)) { return 'dir' }
            $cut = $clean.LastIndexOf('\')
            $names = $global:Tree[$clean.Substring(0, [Math]::Max(0, $cut))]
            if ($names -contains $clean.Substring($cut + 1)) { return 'file' }
            if ($global:Hidden -contains $clean) { return 'unknown: access denied' }
            'none'
        }
    }
    $services = 'SYSTEM\CurrentControlSet\Services'
    $windows = 'SOFTWARE\Microsoft\Windows\CurrentVersion'
    $products = "$windows\Installer\UserData\S-1-5-18\Products"
    $profiles = 'SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList'
    $folder = @{ systemroot = 'C:\Windows'; systemdrive = 'C:'; programdata = 'D:\ProgramData'; programfiles = 'C:\Program Files' }
    $plain = @{ "$services\msiserver" = @{ Start = 3 }; "$services\TrustedInstaller" = @{ Start = 3 } }

    Function Invoke-Preflight {
        param (
            [scriptblock]$Ask,
            [hashtable]$Registry = @{},
            [hashtable]$State = @{},
            [string]$Mutex = 'none',
            [hashtable]$Tree = @{},
            [string[]]$Hidden = @()
        )
        Initialize-FakeRegistry -Machine64 $Registry
        $global:States = $State
        $global:Mutex = $Mutex
        $global:Tree = $Tree
        $global:Hidden = $Hidden
        Invoke-ObserveProbe -Timeout 60 -Script $Ask
        Get-FakeOpenKey | Should -Be 0 -Because 'every key that was opened must be disposed'
    }
    Function Join-Registry {
        param ([hashtable]$More)
        $all = $plain.Clone()
        foreach ($path in @($More.Keys)) { $all[$path] = $More[$path] }
        $all
    }
}

AfterAll {
    Remove-Variable -Name States, Mutex, Tree, Hidden -Scope Global
}

Describe 'installer' {
    It 'says nothing of a host at rest' {
        $answer = Invoke-Preflight -Ask { param ($probe) Read-ObserveInstaller -Probe $probe } -Registry $plain -Mutex 'free' -State @{ trustedinstaller = 'running' }
        $answer.status | Should -Be 'absent'
    }

    It 'is busy: <label>' -ForEach @(
        @{ label = 'in progress'; registry = @{ 'SOFTWARE\Microsoft\Windows\CurrentVersion\Installer\InProgress' = @{ '' = 'C:\x.ipi' } }; mutex = 'none'; state = @{}; word = '*InProgress: C:\x.ipi' }
        @{ label = 'mutex'; registry = @{}; mutex = 'held'; state = @{}; word = 'Global\_MSIExecute is held*' }
        @{ label = 'servicing'; registry = @{ 'SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\SessionsPending' = @{ Exclusive = 1 } }; mutex = 'none'; state = @{ trustedinstaller = 'running' }; word = 'TrustedInstaller runs*' }
    ) {
        $answer = Invoke-Preflight -Ask { param ($probe) Read-ObserveInstaller -Probe $probe } -Registry (Join-Registry -More $registry) -Mutex $mutex -State $state
        $answer.status | Should -Be 'ok'
        @($answer.records | ForEach-Object { $_.kind }) | Should -Be @('busy')
        $answer.records[0].detail | Should -BeLike $word
    }

    It 'is not busy with a session that nobody works on' {
        $registry = Join-Registry -More @{ "$windows\Component Based Servicing\SessionsPending" = @{ Exclusive = 1 } }
        (Invoke-Preflight -Ask { param ($probe) Read-ObserveInstaller -Probe $probe } -Registry $registry -State @{ trustedinstaller = 'stopped' }).status | Should -Be 'absent'
    }

    It 'names disabled services and a policy' {
        $registry = @{
            "$services\msiserver" = @{ Start = 4 }
            "$services\TrustedInstaller" = @{ Start = 4 }
            'SOFTWARE\Policies\Microsoft\Windows\Installer' = @{ DisableMSI = 2 }
        }
        $answer = Invoke-Preflight -Ask { param ($probe) Read-ObserveInstaller -Probe $probe } -Registry $registry
        @($answer.records | ForEach-Object { $_.kind }) | Should -Be @('service_disabled', 'service_disabled', 'restricted_by_policy')
    }

    It 'does not know without the mutex or the service' {
        $answer = Invoke-Preflight -Ask { param ($probe) Read-ObserveInstaller -Probe $probe } -Mutex 'broken'
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -BeLike 'Global\_MSIExecute: *no such call*; no service msiserver'
    }
}

Describe 'msi' {
    BeforeAll {
        $code = '{6E0F4C52-5B7A-4D0E-9C39-2B1A7F3D0C01}'
        $packed = '25C4F0E6A7B5E0D4C993B2A1F7D3C010'
    }

    It 'packs a code as Windows Installer does' {
        ConvertTo-ObservePackedCode -Code $code | Should -BeExactly $packed
        ConvertTo-ObservePackedCode -Code '{12345678-9abc-def0-1234-56789abcdef0}' | Should -BeExactly '87654321CBA90FED21436587A9CBED0F'
    }

    It 'says whether the cached package is <state>' -ForEach @(
        @{ state = 'there'; tree = @{ 'C:\Windows\Installer' = @('1a2b.msi') }; hidden = @(); status = 'ok' }
        @{ state = 'missing'; tree = @{ 'C:\Windows\Installer' = @() }; hidden = @(); status = 'ok' }
        @{ state = 'unknown'; tree = @{}; hidden = @('C:\Windows\Installer\1a2b.msi'); status = 'unknown' }
    ) {
        $registry = @{ "$products\$packed\InstallProperties" = @{ LocalPackage = 'C:\Windows\Installer\1a2b.msi' } }
        $answer = Invoke-Preflight -Registry $registry -Tree $tree -Hidden $hidden -Ask {
            param ($probe) Read-ObserveMsi -Probe $probe -Folder $folder -Asked @() -Found @($code, 'not a code')
        }
        $answer.status | Should -Be $status
        $answer.records.Count | Should -Be 1
        $answer.records[0].code | Should -Be $code
        $answer.records[0].state | Should -Be $state
    }

    It 'tells a program that Windows Installer does not know, and not one that is only asked for' {
        $registry = @{ "$products\00000000000000000000000000000000" = @{} }
        $other = '{6E0F4C52-5B7A-4D0E-9C39-2B1A7F3D0C02}'
        $answer = Invoke-Preflight -Registry $registry -Ask {
            param ($probe) Read-ObserveMsi -Probe $probe -Folder $folder -Asked @($other) -Found @($code.ToLowerInvariant())
        }
        @($answer.records | ForEach-Object { '{0} {1}' -f $_.code, $_.state }) | Should -Be @("$code unregistered")
    }

    It 'does not know without the list of packages' {
        $answer = Invoke-Preflight -Ask { param ($probe) Read-ObserveMsi -Probe $probe -Folder $folder -Asked @($code) -Found @() }
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -BeLike '*UserData*'
    }

    It 'looks at nothing when no code is asked' {
        (Invoke-Preflight -Ask { param ($probe) Read-ObserveMsi -Probe $probe -Folder $folder -Asked @() -Found @('KES') }).status | Should -Be 'absent'
    }
}

Describe 'space, resources, tools' {
    It 'tells each drive once' {
        Mock -CommandName Get-ObserveFreeSpace -ModuleName _observe_preflight -MockWith { if ($Letter -eq 'D') { throw 'not ready' } else { 5GB + 7 } }
        $answer = Invoke-Preflight -Ask { param ($probe) Read-ObserveSpace -Probe $probe -Folder $folder }
        @($answer.records | ForEach-Object { '{0} {1}' -f $_.path, $_.free_mib }) | Should -Be @('C:\ 5120')
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -BeLike 'D:\: *not ready*'
    }

    It 'tells processors and memory, and processors alone where Windows does not say' {
        Mock -CommandName Get-ObserveMemory -ModuleName _observe_preflight -MockWith { [long[]]@(8GB, 3GB) }
        $answer = Invoke-Preflight -Ask { param ($probe) Read-ObserveResource -Probe $probe }
        $answer.records[0].memory_mib | Should -Be '8192'
        $answer.records[0].available_mib | Should -Be '3072'
        [int]$answer.records[0].cpus | Should -BeGreaterThan 0
        Mock -CommandName Get-ObserveMemory -ModuleName _observe_preflight -MockWith { throw 'no' }
        $answer = Invoke-Preflight -Ask { param ($probe) Read-ObserveResource -Probe $probe }
        $answer.status | Should -Be 'unknown'
        $answer.records[0].memory_mib | Should -Be ''
    }

    It 'names the newest command line of Defender' {
        $platform = 'D:\ProgramData\Microsoft\Windows Defender\Platform'
        $tree = @{
            'C:\Windows\System32' = @('msiexec.exe', 'Dism.exe')
            $platform = @('4.18.2001.7-0\', '4.18.24010.12-0\', '4.18.24010.12-1\', 'x\')
            "$platform\4.18.24010.12-1" = @('MpCmdRun.exe')
            'C:\Program Files\Windows Defender' = @('MpCmdRun.exe')
        }
        $answer = Invoke-Preflight -Tree $tree -Ask { param ($probe) Read-ObserveTool -Probe $probe -Folder $folder }
        @($answer.records | ForEach-Object { '{0}={1}' -f $_.name, $_.path }) | Should -Be @(
            'dism=C:\Windows\System32\Dism.exe', 'msiexec=C:\Windows\System32\msiexec.exe', "mpcmdrun=$platform\4.18.24010.12-1\MpCmdRun.exe"
        )
    }
}

Describe 'quarantine' {
    BeforeAll {
        Mock -CommandName Get-ObserveContent -ModuleName _observe_preflight_files -MockWith {
            if ($null -eq $global:Tree[$Path]) { throw (New-Object -TypeName System.UnauthorizedAccessException) }
            $folders = @($global:Tree[$Path] | Where-Object { $_.EndsWith('\') } | ForEach-Object { '{0}\{1}' -f $Path, $_.TrimEnd('\') })
            @{ folders = $folders; files = @($global:Tree[$Path]).Count - $folders.Count }
        }
        $store = 'D:\ProgramData\Kaspersky Lab\QB'
        $ask = { param ($probe) Read-ObserveQuarantine -Probe $probe -Folder $folder -Store @('%ProgramData%\Kaspersky Lab\QB', '%ProgramData%\Kaspersky Lab\Q*') }
    }

    It 'counts files, in folders too, once' {
        $answer = Invoke-Preflight -Ask $ask -Tree @{ 'D:\ProgramData\Kaspersky Lab' = @('QB\'); $store = @('a', 'b', 'c\'); "$store\c" = @('d') }
        @($answer.records | ForEach-Object { '{0} {1}' -f $_.path, $_.files }) | Should -Be @("$store 3")
        $answer.status | Should -Be 'ok'
    }

    It 'keeps what it counted when its time is over' {
        Mock -CommandName Assert-ObserveTime -ModuleName _observe_preflight_files -MockWith {
            $global:Steps++
            if ($global:Steps -gt 1) { $Probe.ended = $true; throw 'took longer than 3 s' }
        }
        $global:Steps = 0
        $answer = Invoke-Preflight -Ask $ask -Tree @{ $store = @('a', 'b', 'c\'); "$store\c" = @('d') }
        Remove-Variable -Name Steps -Scope Global
        @($answer.records | ForEach-Object { $_.files }) | Should -Be @('2')
        $answer.reason | Should -BeLike '*took longer than 3 s'
    }

    It 'says nothing of an empty store, and that a closed one is not known' {
        (Invoke-Preflight -Ask $ask -Tree @{ $store = @() }).status | Should -Be 'absent'
        $answer = Invoke-Preflight -Ask $ask -Tree @{ $store = $null }
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -Be "${store}: access denied"
    }
}

Describe 'content of a folder' {
    It 'counts files and names folders of a real one' {
        foreach ($name in @('one', 'two')) { $null = New-Item -Path (Join-Path -Path $TestDrive -ChildPath $name) -ItemType File }
        $null = New-Item -Path (Join-Path -Path $TestDrive -ChildPath 'below') -ItemType Directory
        $content = & (Get-Module -Name _observe_preflight_files) { param ($path) Get-ObserveContent -Path $path -Folder @{ systemroot = 'C:\Windows' } } ([string]$TestDrive)
        $content.files | Should -Be 2
        $content.folders | Should -Be @("$TestDrive\below")
    }
}

Describe 'vaults' {
    BeforeAll {
        $below = 'AppData\Local\Kaspersky Lab\Kaspersky Password Manager'
        $registry = @{
            "$profiles\S-1-5-18" = @{ ProfileImagePath = '%systemroot%\system32\config\systemprofile' }
            "$profiles\S-1-5-21-1-2-3-1001" = @{ ProfileImagePath = 'C:\Users\anna' }
            "$profiles\S-1-5-21-1-2-3-1002" = @{ ProfileImagePath = 'C:\Users\boris' }
        }
        $ask = { param ($probe) Read-ObserveVault -Probe $probe -Folder $folder -Vault @('%LocalAppData%\Kaspersky Lab\Kaspersky Password Manager') }
    }

    It 'finds them below every profile' {
        $tree = @{ "C:\Users\anna\$below" = @('kpm_vault.edb', 'log.txt'); "C:\Users\boris\$below" = @('log.txt') }
        $answer = Invoke-Preflight -Ask $ask -Registry $registry -Tree $tree
        @($answer.records | ForEach-Object { '{0} {1}' -f $_.user, $_.path }) | Should -Be @("anna C:\Users\anna\$below\kpm_vault.edb")
        $answer.status | Should -Be 'ok'
    }

    It 'does not know of a profile that is closed or has no folder' {
        $closed = $registry.Clone()
        $closed["$profiles\S-1-5-21-1-2-3-1003"] = @{}
        $answer = Invoke-Preflight -Ask $ask -Registry $closed -Hidden @("C:\Users\anna\$below")
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -BeLike '*anna*access denied*'
        $answer.reason | Should -BeLike '*S-1-5-21-1-2-3-1003: no folder*'
    }
}
