# SPDX-License-Identifier: GPL-3.0-or-later

BeforeAll {
    $utils = Join-Path -Path $PSScriptRoot -ChildPath '../../../plugins/module_utils'
    foreach ($name in @('_observe_core', '_observe_registry', '_observe_files', '_observe_hives', '_observe_products')) {
        Import-Module -Name (Join-Path -Path $utils -ChildPath "$name.psm1") -Force -Global
    }
    . (Join-Path -Path $PSScriptRoot -ChildPath 'FakeRegistry.ps1')
    Mock -CommandName Open-ObserveBaseKey -ModuleName _observe_products -MockWith { Open-FakeBaseKey -Hive $Hive -View $View }
    Mock -CommandName Open-ObserveBaseKey -ModuleName _observe_hives -MockWith { Open-FakeBaseKey -Hive $Hive -View $View }
    Mock -CommandName Get-ObserveFolder -ModuleName _observe_hives -MockWith { @{ systemroot = 'C:\Windows'; systemdrive = 'C:' } }
    Mock -CommandName Get-ObserveView -ModuleName _observe_products -MockWith { '64'; '32' }

    $uninstall = 'SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall'
    $profiles = 'SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList'
    $kes = @{
        DisplayName = 'Kaspersky Endpoint Security for Windows'
        Publisher = 'AO Kaspersky Lab'
        DisplayVersion = '12.4.0.467'
    }
    $words = @('kaspersky', '{27534751-4a40-48bd-b393-bc3bf28c876e}')
    $sid = 'S-1-5-21-1-2-3-1001'

    Function Invoke-Machine { Invoke-ObserveProbe -Timeout 30 -Script { param ($probe) Read-ObserveUninstall -Probe $probe -Literal $words } }
    Function Invoke-User { Invoke-ObserveProbe -Timeout 30 -Script { param ($probe) Read-ObserveUserHive -Probe $probe -Literal $words } }
    Function Invoke-Tree {
        Invoke-ObserveProbe -Timeout 60 -Script {
            param ($probe)
            Read-ObserveMachineTree -Probe $probe -Root @('SOFTWARE\KasperskyLab') -ValueName @('ProductName', 'Version')
        }
    }
    Function Invoke-UserTree {
        Invoke-ObserveProbe -Timeout 30 -Script {
            param ($probe)
            Read-ObserveUserHive -Probe $probe -Root @('Software\KasperskyLab') -ValueName @('Version')
        }
    }
}

Describe 'uninstall.machine' {
    AfterEach {
        Get-FakeOpenKey | Should -Be 0 -Because 'every key that was opened must be disposed'
        Remove-Variable -Name FakeRegistry -Scope Global
    }

    It 'is absent on a clean host without a 32-bit Uninstall key' {
        Initialize-FakeRegistry -Machine64 @{ "$uninstall\Editor" = @{ DisplayName = 'Editor' } }
        $answer = Invoke-Machine
        $answer.status | Should -Be 'absent'
        $answer.reason | Should -Be ''
    }

    It 'reads both views and says which' {
        Initialize-FakeRegistry -Machine64 @{ "$uninstall\A" = $kes } -Machine32 @{ "$uninstall\B" = $kes }
        $answer = Invoke-Machine
        $answer.status | Should -Be 'ok'
        @($answer.records | ForEach-Object { '{0}{1}' -f $_.view, $_.key }) | Should -Be @('64A', '32B')
        @($answer.records[0].Keys | Sort-Object) | Should -Be @(
            'key', 'location', 'name', 'publisher', 'quiet_uninstall', 'system_component', 'uninstall', 'version', 'view'
        )
    }

    It 'finds an entry by its <label>' -ForEach @(
        @{ label = 'name'; key = 'X'; values = @{ DisplayName = 'Kaspersky Free' } }
        @{ label = 'publisher'; key = 'X'; values = @{ Publisher = 'KASPERSKY' } }
        @{ label = 'folder'; key = 'X'; values = @{ InstallLocation = 'C:\Program Files\Kaspersky Lab\X' } }
        @{ label = 'uninstall command'; key = 'X'; values = @{ UninstallString = 'MsiExec /X{27534751-4A40-48BD-B393-BC3BF28C876E}' } }
        @{ label = 'product code alone'; key = '{27534751-4A40-48BD-B393-BC3BF28C876E}'; values = @{} }
        @{ label = 'name of another type'; key = 'X'; values = @{ DisplayName = [string[]]@('Kaspersky', 'x') } }
        @{ label = 'far end of a long name'; key = 'X'; values = @{ DisplayName = ('x' * 3000) + 'Kaspersky' } }
    ) {
        Initialize-FakeRegistry -Machine64 @{ "$uninstall\$key" = $values }
        $answer = Invoke-Machine
        $answer.records.Count | Should -Be 1
        $answer.records[0].key | Should -Be $key
    }

    It 'names a key it may not read and still returns the others' {
        Initialize-FakeRegistry -Machine64 @{ "$uninstall\A" = 'denied:open'; "$uninstall\B" = $kes; "$uninstall\C" = 'denied:values' }
        $answer = Invoke-Machine
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -BeLike "HKLM\$uninstall (64-bit)\A: access denied; *\C\*: access denied*"
        $answer.records.Count | Should -Be 1
    }

    It 'does not take a list it may not read for an empty one' {
        Initialize-FakeRegistry -Machine64 @{ $uninstall = 'denied:list' }
        (Invoke-Machine).status | Should -Be 'unknown'
        Initialize-FakeRegistry -Machine32 @{ $uninstall = 'denied:open' }
        (Invoke-Machine).reason | Should -Be "HKLM\$uninstall (32-bit): access denied"
    }

    It 'reports a key that is listed but cannot be opened' {
        Initialize-FakeRegistry -Machine64 @{ "$uninstall\hidden" = $null }
        (Invoke-Machine).reason | Should -BeLike '*\hidden: listed, but cannot be opened'
    }
}

Describe 'uninstall.users' {
    AfterEach {
        Get-FakeOpenKey | Should -Be 0 -Because 'every key that was opened must be disposed'
        Remove-Variable -Name FakeRegistry -Scope Global
    }

    It 'reads the loaded hives, both places, and the accounts of the system' {
        $place = 'Microsoft\Windows\CurrentVersion\Uninstall\P'
        Initialize-FakeRegistry -Users @{
            "$sid\Software\$place" = $kes
            "S-1-5-18\Software\Wow6432Node\$place" = $kes
            ".DEFAULT\Software\$place" = $kes
            "${sid}_Classes\Software\$place" = $kes
        } -Machine64 @{ "$profiles\$sid" = @{ ProfileImagePath = 'C:\Users\a' }; "$profiles\S-1-5-18" = @{} }
        $answer = Invoke-User
        $answer.status | Should -Be 'ok'
        @($answer.records | ForEach-Object { '{0} {1}' -f $_.sid, $_.view } | Sort-Object) | Should -Be @(
            '.DEFAULT 64', 'S-1-5-18 32', "$sid 64" | Sort-Object
        )
    }

    It 'names profiles without a loaded hive, local, domain and Entra ID' {
        Initialize-FakeRegistry -Users @{ "$sid\Software\Microsoft\Windows\CurrentVersion\Uninstall\P" = $kes } -Machine64 @{
            "$profiles\$sid" = @{ ProfileImagePath = 'C:\Users\a' }
            "$profiles\S-1-5-21-9-9-9-1105" = @{ ProfileImagePath = '%SystemDrive%\Users\b' }
            "$profiles\S-1-12-1-7-7-7-7" = @{}
            "$profiles\S-1-5-20" = @{ ProfileImagePath = 'C:\x' }
            "$profiles\S-1-5-21-9-9-9-1106" = 'denied:open'
        }
        $answer = Invoke-User
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -BeLike '*S-1-5-21-9-9-9-1105 (%SystemDrive%\Users\b)*'
        $answer.reason | Should -BeLike '*S-1-12-1-7-7-7-7 ()*'
        $answer.reason | Should -BeLike '*S-1-5-21-9-9-9-1106 (access denied)*'
        $answer.reason | Should -Not -BeLike '*S-1-5-20*'
        $answer.reason | Should -Not -BeLike "*$sid*"
        $answer.records.Count | Should -Be 1
    }

    It 'names a hive it may not read' {
        Initialize-FakeRegistry -Users @{ $sid = 'denied:open' }
        $answer = Invoke-User
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -BeLike "HKU\$sid\*: access denied*"
    }

    It 'is absent when nothing is asked for, whatever is loaded' {
        Initialize-FakeRegistry -Machine64 @{ "$profiles\S-1-5-21-9-9-9-1105" = @{} }
        $answer = Invoke-ObserveProbe -Timeout 5 -Script { param ($probe) Read-ObserveUserHive -Probe $probe }
        $answer.status | Should -Be 'absent'
    }
}

Describe 'registry' {
    AfterEach {
        Get-FakeOpenKey | Should -Be 0 -Because 'every key that was opened must be disposed'
        Remove-Variable -Name FakeRegistry -Scope Global
    }

    It 'lists keys nearest first with the named values that are there' {
        Initialize-FakeRegistry -Machine32 @{
            'SOFTWARE\KasperskyLab\protected\KES\environment' = @{ productname = 'KES'; Secret = 'no' }
            'SOFTWARE\KasperskyLab\Components' = @{ Version = 5 }
        }
        $answer = Invoke-Tree
        $answer.status | Should -Be 'ok'
        @($answer.records | ForEach-Object { $_.key }) | Should -Be @(
            '', 'Components', 'protected', 'protected\KES', 'protected\KES\environment'
        )
        $last = $answer.records[4]
        $last['value.ProductName'] | Should -Be 'KES'
        @($last.Keys | Sort-Object) | Should -Be @('key', 'root', 'sid', 'value.ProductName', 'view')
        $answer.records[1]['value.Version'] | Should -BeExactly '5'
        $last.view | Should -Be '32'
    }

    It 'is absent when no root is asked for' {
        Initialize-FakeRegistry -Machine64 @{ 'SOFTWARE\KasperskyLab' = @{} }
        $answer = Invoke-ObserveProbe -Timeout 5 -Script { param ($probe) Read-ObserveMachineTree -Probe $probe -Root @() -ValueName @() }
        $answer.status | Should -Be 'absent'
    }

    It 'goes five levels deep and no further' {
        Initialize-FakeRegistry -Machine64 @{ 'SOFTWARE\KasperskyLab\1\2\3\4\5\6' = @{} }
        $answer = Invoke-Tree
        $answer.status | Should -Be 'ok'
        $answer.records[-1].key | Should -Be '1\2\3\4\5'
    }

    It 'reads a root that lies deeper than it would go from the vendor''s key' {
        $root = 'SOFTWARE\KasperskyLab\Components\34\1103\1.0.0.0\Statistics\AVState'
        Initialize-FakeRegistry -Machine32 @{ $root = @{ Protection_LastConnected = '01-02-2026 03-04-05'; Protection_AdmServer = 'ksc.example' } }
        $answer = Invoke-ObserveProbe -Timeout 60 -Script {
            param ($probe)
            Read-ObserveMachineTree -Probe $probe -Root @($root) -ValueName @('Protection_LastConnected', 'Protection_AdmServer')
        }
        $answer.status | Should -Be 'ok'
        $answer.records.Count | Should -Be 1
        '{0}|{1}|{2}' -f $answer.records[0].root, $answer.records[0].key, $answer.records[0].view | Should -Be "$root||32"
        $answer.records[0]['value.Protection_AdmServer'] | Should -Be 'ksc.example'
    }

    It 'stops after 2,000 keys, having seen the nearest' {
        $many = @{ 'SOFTWARE\KasperskyLab\zz\environment' = @{} }
        foreach ($number in 1..1999) { $many["SOFTWARE\KasperskyLab\a\$number"] = @{} }
        Initialize-FakeRegistry -Machine64 $many
        $answer = Invoke-Tree
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -Be 'more than 2000 records'
        $answer.records.Count | Should -Be 2000
        @($answer.records[0..2] | ForEach-Object { $_.key }) | Should -Be @('', 'a', 'zz')
    }

    It 'lets a big tree in one place hide none of the others' {
        $many = @{}
        foreach ($number in 1..2100) { $many["SOFTWARE\KasperskyLab\a\b\$number"] = @{} }
        Initialize-FakeRegistry -Machine64 $many -Machine32 @{ 'SOFTWARE\KasperskyLab\KES\environment' = @{ ProductName = 'KES' } }
        $answer = Invoke-Tree
        $answer.status | Should -Be 'unknown'
        @($answer.records | Where-Object { $_.view -eq '32' } | ForEach-Object { $_.key }) | Should -Be @('', 'KES', 'KES\environment')
    }

    It 'names a key it may not <what>' -ForEach @(
        @{ what = 'open' }
        @{ what = 'list' }
        @{ what = 'values' }
    ) {
        Initialize-FakeRegistry -Machine64 @{ 'SOFTWARE\KasperskyLab\AVP21' = "denied:$what"; 'SOFTWARE\KasperskyLab\B' = @{} }
        $answer = Invoke-Tree
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -Be 'HKLM\SOFTWARE\KasperskyLab (64-bit)\AVP21: access denied'
        @($answer.records | ForEach-Object { $_.key }) | Should -Contain 'B'
    }

    It 'reads the vendor key of each loaded hive, in both places' {
        Initialize-FakeRegistry -Users @{
            "$sid\Software\KasperskyLab\AVP21.25" = @{ Version = '21.25' }
            'S-1-5-19\Software\Wow6432Node\KasperskyLab' = @{}
        }
        $answer = Invoke-UserTree
        $answer.status | Should -Be 'ok'
        @($answer.records | ForEach-Object { '{0} {1} {2} {3}' -f $_.sid, $_.view, $_.root, $_.key } | Sort-Object) | Should -Be @(
            'S-1-5-19 32 Software\KasperskyLab '
            "$sid 64 Software\KasperskyLab "
            "$sid 64 Software\KasperskyLab AVP21.25"
        )
    }

    It 'names a user''s vendor key with a restrictive ACL' {
        Initialize-FakeRegistry -Users @{ "$sid\Software\KasperskyLab\AVP21.25" = 'denied:open' }
        (Invoke-UserTree).reason | Should -Be "HKU\$sid\Software\KasperskyLab\AVP21.25: access denied"
    }
}
