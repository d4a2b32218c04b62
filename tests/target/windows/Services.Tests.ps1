# SPDX-License-Identifier: GPL-3.0-or-later

BeforeAll {
    $utils = Join-Path -Path $PSScriptRoot -ChildPath '../../../plugins/module_utils'
    foreach ($name in @('_observe_core', '_observe_registry', '_observe_files', '_observe_services')) {
        Import-Module -Name (Join-Path -Path $utils -ChildPath "$name.psm1") -Force -Global
    }
    . (Join-Path -Path $PSScriptRoot -ChildPath 'FakeRegistry.ps1')
    Mock -CommandName Open-ObserveBaseKey -ModuleName _observe_services -MockWith { Open-FakeBaseKey -Hive $Hive -View $View }
    Mock -CommandName Get-ObserveServiceState -ModuleName _observe_services -MockWith { @{ 'avp.kes.21.16' = 'running' } }
    Mock -CommandName Test-ObserveFile -ModuleName _observe_services -MockWith {
        if (-not $Path -or $Path -like '*gone*') { 'no' } else { 'yes' }
    }
    $services = 'SYSTEM\CurrentControlSet\Services'
    $folder = @{ systemroot = 'C:\Windows'; 'programfiles(x86)' = 'C:\Program Files (x86)' }

    Function Invoke-Service {
        param ([switch]$Driver, [string[]]$Literal = @('avp', 'kaspersky', 'klif', 'klnagent'))
        Invoke-ObserveProbe -Timeout 30 -Script {
            param ($probe)
            Read-ObserveService -Probe $probe -Folder $folder -Literal $Literal -Driver:$Driver
        }
    }
}

Describe 'services and drivers' {
    AfterEach {
        Get-FakeOpenKey | Should -Be 0 -Because 'every key that was opened must be disposed'
        Remove-Variable -Name FakeRegistry -Scope Global
    }

    It 'tells services from drivers by their type' {
        Initialize-FakeRegistry -Machine64 @{
            "$services\AVP.KES.21.16" = @{
                Type = 16
                Start = 2
                DisplayName = 'Kaspersky Endpoint Security Service'
                ImagePath = '"%ProgramFiles(x86)%\Kaspersky Lab\KES\avp.exe" -r'
            }
            "$services\klif.KES-21-16" = @{ Type = 2; Start = 0; ImagePath = '\SystemRoot\system32\drivers\gone\klif.sys' }
            "$services\Spooler" = @{ Type = 272; Start = 2; ImagePath = 'C:\Windows\System32\spoolsv.exe' }
        }
        $answer = Invoke-Service
        $answer.status | Should -Be 'ok'
        $answer.records.Count | Should -Be 1
        $record = $answer.records[0]
        $record.name | Should -Be 'AVP.KES.21.16'
        $record.path | Should -Be 'C:\Program Files (x86)\Kaspersky Lab\KES\avp.exe'
        $record.image | Should -Be '"%ProgramFiles(x86)%\Kaspersky Lab\KES\avp.exe" -r'
        '{0} {1} {2} {3}' -f $record.type, $record.start, $record.state, $record.file_exists | Should -Be 'own_process auto running yes'

        $answer = Invoke-Service -Driver
        $answer.records.Count | Should -Be 1
        $record = $answer.records[0]
        '{0} {1} {2} {3}' -f $record.type, $record.start, $record.state, $record.file_exists |
            Should -Be 'file_system_driver boot not_registered no'
    }

    It 'finds a service by its program when the name says nothing' {
        Initialize-FakeRegistry -Machine64 @{
            "$services\Updater" = @{ Type = 16; Start = 3; ImagePath = 'C:\Program Files (x86)\Kaspersky Lab\x.exe' }
            "$services\Other" = @{ Type = 16; Start = 3; ImagePath = '%ProgramFiles(x86)%\Other\x.exe' }
        }
        @((Invoke-Service).records | ForEach-Object { $_.name }) | Should -Be @('Updater')
    }

    It 'finds a program folder behind a variable' {
        Initialize-FakeRegistry -Machine64 @{
            "$services\Updater" = @{ Type = 16; Start = 3; ImagePath = '%ProgramFiles(x86)%\Other\x.exe' }
        }
        (Invoke-Service -Literal @('program files')).records.Count | Should -Be 1
    }

    It 'looks through svchost at the library' {
        Initialize-FakeRegistry -Machine64 @{
            "$services\Hosted" = @{ Type = 32; Start = 2; ImagePath = '%SystemRoot%\System32\svchost.exe -k netsvcs' }
            "$services\Hosted\Parameters" = @{ ServiceDll = '%ProgramFiles(x86)%\Kaspersky Lab\gone.dll' }
            "$services\Plain" = @{ Type = 32; Start = 2; ImagePath = '%SystemRoot%\System32\svchost.exe -k netsvcs' }
        }
        $answer = Invoke-Service
        $answer.records.Count | Should -Be 1
        $answer.records[0].path | Should -Be 'C:\Program Files (x86)\Kaspersky Lab\gone.dll'
        $answer.records[0].file_exists | Should -Be 'no'
        $answer.records[0].type | Should -Be 'share_process'
    }

    It 'takes a driver without a path for the one in System32\drivers' {
        Initialize-FakeRegistry -Machine64 @{ "$services\klif" = @{ Type = 1; Start = 9 } }
        $record = (Invoke-Service -Driver).records[0]
        $record.path | Should -Be 'C:\Windows\System32\drivers\klif.sys'
        $record.start | Should -Be ''
    }

    It 'reports a key without a type on both sides, as what a removal left' {
        Initialize-FakeRegistry -Machine64 @{ "$services\klif\Parameters" = @{} }
        foreach ($answer in @((Invoke-Service), (Invoke-Service -Driver))) {
            $answer.records.Count | Should -Be 1
            '{0}|{1}|{2}' -f $answer.records[0].type, $answer.records[0].path, $answer.records[0].file_exists | Should -Be '||no'
        }
    }

    It 'does not need the service manager' {
        Mock -CommandName Get-ObserveServiceState -ModuleName _observe_services -MockWith { $null }
        Initialize-FakeRegistry -Machine64 @{ "$services\klnagent" = @{ Type = 16; ImagePath = 'C:\x.exe' } }
        $answer = Invoke-Service
        $answer.status | Should -Be 'ok'
        $answer.records[0].state | Should -Be 'unknown'
    }

    It 'names a service it may not read and still returns the others' {
        Initialize-FakeRegistry -Machine64 @{ "$services\A" = 'denied:values'; "$services\klnagent" = @{ Type = 16 }; "$services\Z" = 'denied:open' }
        $answer = Invoke-Service
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -Be "HKLM\$services\A: access denied; HKLM\$services\Z: access denied"
        $answer.records.Count | Should -Be 1
    }

    It 'could not tell when there is no list of services' {
        Initialize-FakeRegistry
        (Invoke-Service).status | Should -Be 'unknown'
    }
}

Describe 'processes' {
    BeforeAll {
        Mock -CommandName Get-ObserveProcess -ModuleName _observe_services -MockWith {
            @{ pid = 0; name = 'Idle' }
            @{ pid = 4; name = 'System' }
            @{ pid = 10; name = 'avp' }
            @{ pid = 11; name = 'node' }
            @{ pid = 12; name = 'AVP' }
            @{ pid = 13; name = 'notepad' }
            @{ pid = 14; name = 'avp.com' }
        }
        Mock -CommandName Get-ObserveProcessPath -ModuleName _observe_services -MockWith {
            switch ($ProcessId) {
                10 { 'C:\Program Files (x86)\Kaspersky Lab\KES\avp.exe' }
                11 { 'C:\Program Files\Kaspersky Lab\Web Console\node.exe' }
                13 { 'C:\Windows\notepad.exe' }
                default { '' }
            }
        }
        Function Invoke-Process {
            param ([string]$Elevated = 'yes')
            Invoke-ObserveProbe -Timeout 5 -Script {
                param ($probe)
                Read-ObserveProcess -Probe $probe -Literal @('avp', 'kaspersky') -Elevated $Elevated
            }
        }
    }

    It 'finds a program by name or folder, also one whose path cannot be read' {
        $answer = Invoke-Process
        $answer.status | Should -Be 'ok'
        @($answer.records | ForEach-Object { '{0}|{1}|{2}' -f $_.pid, $_.name, $_.path }) | Should -Be @(
            '10|avp.exe|C:\Program Files (x86)\Kaspersky Lab\KES\avp.exe'
            '11|node.exe|C:\Program Files\Kaspersky Lab\Web Console\node.exe'
            '12|AVP.exe|'
            '14|avp.com|'
        )
    }

    It 'could not tell when a program is hidden from somebody who is no administrator' {
        Mock -CommandName Get-ObserveProcessPath -ModuleName _observe_services -MockWith { '' }
        (Invoke-Process).status | Should -Be 'ok'
        foreach ($elevated in @('no', 'unknown')) {
            $answer = Invoke-Process -Elevated $elevated
            $answer.status | Should -Be 'unknown'
            $answer.reason | Should -Be 'the program of 2 processes cannot be read without administrator rights'
            $answer.records.Count | Should -Be 3
        }
    }
}
