# SPDX-License-Identifier: GPL-3.0-or-later

BeforeAll {
    $utils = Join-Path -Path $PSScriptRoot -ChildPath '../../../plugins/module_utils'
    foreach ($name in @('_observe_core', '_observe_registry', '_observe_files')) {
        Import-Module -Name (Join-Path -Path $utils -ChildPath "$name.psm1") -Force -Global
    }
    $folder = @{
        systemroot = 'C:\Windows'
        windir = 'C:\Windows'
        systemdrive = 'C:'
        programfiles = 'C:\Program Files'
        'programfiles(x86)' = 'C:\Program Files (x86)'
        programdata = 'C:\ProgramData'
    }
    # What is there: path -> attributes, or an exception.
    $global:FakeFiles = @{}
    Mock -CommandName Get-ObserveAttribute -ModuleName _observe_files -MockWith {
        if (-not $global:FakeFiles.ContainsKey($Path)) {
            throw (New-Object -TypeName System.IO.FileNotFoundException)
        }
        if ($global:FakeFiles[$Path] -is [System.Exception]) {
            throw $global:FakeFiles[$Path]
        }
        [System.IO.FileAttributes]$global:FakeFiles[$Path]
    }
    Mock -CommandName Get-ObserveDriveType -ModuleName _observe_files -MockWith {
        if ($Letter -eq 'N') { 'Network' } else { 'Fixed' }
    }
}

AfterAll {
    Remove-Variable -Name FakeFiles -Scope Global
}

Describe 'Resolve-ObserveImage' {
    BeforeEach {
        $global:FakeFiles = @{
            'C:\Program Files (x86)\Kaspersky Lab\KES\avp.exe' = 'Normal'
            'C:\Program Files (x86)\Kaspersky' = 'Directory'
            'C:\Windows\System32\lsass.exe' = 'Normal'
        }
    }

    It 'resolves <image>' -ForEach @(
        @{ image = ''; path = '' }
        @{ image = '   '; path = '' }
        @{ image = 'C:\Windows\System32\lsass.exe'; path = 'C:\Windows\System32\lsass.exe' }
        @{ image = 'C:\Program Files (x86)\Kaspersky Lab\KES\avp.exe -r'; path = 'C:\Program Files (x86)\Kaspersky Lab\KES\avp.exe' }
        @{ image = 'C:\Program Files (x86)\Kaspersky Lab\KES\avp -r'; path = 'C:\Program Files (x86)\Kaspersky Lab\KES\avp.exe' }
        @{ image = '"C:\Program Files (x86)\Kaspersky Lab\KES\avp.exe" -r "a b"'; path = 'C:\Program Files (x86)\Kaspersky Lab\KES\avp.exe' }
        @{ image = '"C:\Program Files\Gone\x.exe"'; path = 'C:\Program Files\Gone\x.exe' }
        @{ image = '"C:\unclosed\x.exe'; path = 'C:\unclosed\x.exe' }
        @{ image = 'C:\Program Files\Gone Too\x.exe -k D:\y.exe'; path = 'C:\Program Files\Gone Too\x.exe' }
        @{ image = 'C:\no\extension here'; path = 'C:\no\extension here' }
        @{ image = '%ProgramFiles(x86)%\Kaspersky Lab\KES\avp.exe -r'; path = 'C:\Program Files (x86)\Kaspersky Lab\KES\avp.exe' }
        @{ image = '%SystemRoot%\System32\svchost.exe -k x'; path = 'C:\Windows\System32\svchost.exe' }
        @{ image = '%NoSuchVariable%\x.exe'; path = '%NoSuchVariable%\x.exe' }
        @{ image = 'lsass.exe -x'; path = 'C:\Windows\System32\lsass.exe' }
        @{ image = 'system32\lsass.exe'; path = 'C:\Windows\system32\lsass.exe' }
        @{ image = '\\?\C:\Windows\System32\lsass.exe'; path = 'C:\Windows\System32\lsass.exe' }
        @{ image = '\\?\UNC\server\share\x.exe'; path = '\\server\share\x.exe' }
        @{ image = 'C:/Windows/System32/lsass.exe'; path = 'C:\Windows\System32\lsass.exe' }
    ) {
        Resolve-ObserveImage -Image $image -Folder $folder | Should -Be $path
    }

    It 'resolves the driver <image>' -ForEach @(
        @{ image = '\SystemRoot\system32\DRIVERS\KES-21-16\klif.sys'; path = 'C:\Windows\system32\DRIVERS\KES-21-16\klif.sys' }
        @{ image = 'system32\DRIVERS\klhk.sys'; path = 'C:\Windows\system32\DRIVERS\klhk.sys' }
        @{ image = 'SysWOW64\drivers\x.sys'; path = 'C:\Windows\SysWOW64\drivers\x.sys' }
        @{ image = '\??\C:\ProgramData\Kaspersky Lab\AVP21.25\Bases\klids.sys'; path = 'C:\ProgramData\Kaspersky Lab\AVP21.25\Bases\klids.sys' }
        @{ image = 'drivers\x.sys'; path = 'C:\Windows\drivers\x.sys' }
        @{ image = '\Device\HarddiskVolume3\x.sys'; path = '\Device\HarddiskVolume3\x.sys' }
        @{ image = '\DosDevices\C:\x.sys'; path = 'C:\x.sys' }
    ) {
        Resolve-ObserveImage -Image $image -Folder $folder -Driver | Should -Be $path
    }

    It 'takes what Windows would run when a path has blanks and no quotes' {
        $global:FakeFiles['C:\Program.exe'] = 'Normal'
        Resolve-ObserveImage -Image 'C:\Program Files (x86)\Kaspersky Lab\KES\avp.exe' -Folder $folder | Should -Be 'C:\Program.exe'
    }

    It 'is not slowed down by ten thousand blanks' {
        $watch = [System.Diagnostics.Stopwatch]::StartNew()
        $null = Resolve-ObserveImage -Image ('C:\' + ('x ' * 10000)) -Folder $folder
        $watch.Elapsed.TotalSeconds | Should -BeLessThan 10
    }
}

Describe 'Test-ObserveFile' {
    It 'says <answer> for <label>' -ForEach @(
        @{ label = 'a file'; path = 'C:\f'; attributes = 'Normal'; answer = 'yes' }
        @{ label = 'a link'; path = 'C:\f'; attributes = 'ReparsePoint'; answer = 'yes' }
        @{ label = 'a folder'; path = 'C:\f'; attributes = 'Directory'; answer = 'no' }
        @{ label = 'nothing'; path = 'C:\f'; attributes = $null; answer = 'no' }
        @{ label = 'no path'; path = ''; attributes = $null; answer = 'no' }
        @{ label = 'another machine'; path = '\\server\share\f'; attributes = 'Normal'; answer = 'unknown' }
        @{ label = 'a network drive'; path = 'N:\f'; attributes = 'Normal'; answer = 'unknown' }
        @{ label = 'a device'; path = '\Device\HarddiskVolume3\f'; attributes = 'Normal'; answer = 'unknown' }
        @{ label = 'a relative path'; path = 'f'; attributes = 'Normal'; answer = 'unknown' }
    ) {
        $global:FakeFiles = @{}
        if ($null -ne $attributes) { $global:FakeFiles[$path] = $attributes }
        Test-ObserveFile -Path $path -Folder $folder | Should -Be $answer
    }

    It 'says unknown when it may not look' {
        $global:FakeFiles = @{ 'C:\f' = New-Object -TypeName System.UnauthorizedAccessException }
        Test-ObserveFile -Path 'C:\f' -Folder $folder | Should -Be 'unknown'
        Get-ObserveFileType -Path 'C:\f' -Folder $folder | Should -Be 'unknown: access denied'
    }

    It 'never asks for a file on another machine' {
        $null = Test-ObserveFile -Path '\\server\share\f' -Folder $folder
        $null = Test-ObserveFile -Path 'N:\f' -Folder $folder
        Should -Invoke -CommandName Get-ObserveAttribute -ModuleName _observe_files -Times 0 -Exactly
    }
}

Describe 'a 32-bit PowerShell on a 64-bit Windows' {
    It 'reaches the real System32 through Sysnative' {
        Get-ObserveAccessPath -Path 'c:\windows\system32\drivers\klif.sys' -Folder $folder -Redirected $true |
            Should -Be 'C:\Windows\Sysnative\drivers\klif.sys'
        Get-ObserveAccessPath -Path 'C:\Windows\System32' -Folder $folder -Redirected $true | Should -Be 'C:\Windows\Sysnative'
        Get-ObserveAccessPath -Path 'C:\Windows\System32x\a' -Folder $folder -Redirected $true | Should -Be 'C:\Windows\System32x\a'
        Get-ObserveAccessPath -Path 'C:\Windows\System32\a' -Folder $folder -Redirected $false | Should -Be 'C:\Windows\System32\a'
    }

    It 'takes the folders of the 64-bit side from the registry' {
        Mock -CommandName Get-ObserveMachineValue -ModuleName _observe_files -MockWith {
            @{
                'ProgramFilesDir' = 'C:\Program Files'
                'ProgramFilesDir (x86)' = 'C:\Program Files (x86)'
                'CommonFilesDir' = 'C:\Program Files\Common Files'
                'CommonFilesDir (x86)' = ''
            }
        }
        $saved = @{}
        $session = @{ SystemRoot = 'C:\Windows'; ProgramFiles = 'C:\Program Files (x86)'; 'CommonProgramFiles(x86)' = $null }
        foreach ($name in @($session.Keys)) {
            $saved[$name] = [System.Environment]::GetEnvironmentVariable($name)
            [System.Environment]::SetEnvironmentVariable($name, $session[$name])
        }
        try {
            $found = Get-ObserveFolder
        }
        finally {
            foreach ($name in @($saved.Keys)) { [System.Environment]::SetEnvironmentVariable($name, $saved[$name]) }
        }
        $found.programfiles | Should -Be 'C:\Program Files'
        $found.programw6432 | Should -Be 'C:\Program Files'
        $found.commonprogramfiles | Should -Be 'C:\Program Files\Common Files'
        $found.'programfiles(x86)' | Should -Be 'C:\Program Files (x86)'
        $found.ContainsKey('commonprogramfiles(x86)') | Should -BeFalse
        $found.systemdrive | Should -Be 'C:'
    }
}

Describe 'the probe paths' {
    BeforeAll {
        Function Invoke-Path {
            param ([string[]]$Literal, [hashtable]$Where = $folder)
            Invoke-ObserveProbe -Timeout 5 -Script { param ($probe) Read-ObservePath -Probe $probe -Folder $Where -Literal $Literal }
        }
    }

    BeforeEach {
        $global:FakeFiles = @{
            'C:\Program Files\Kaspersky Lab' = 'Directory'
            'C:\Program Files (x86)\Kaspersky Lab' = 'Directory, ReparsePoint'
            'C:\Windows\System32\drivers\' = 'Directory'
            'C:\Windows\System32\drivers\klif.sys' = 'Normal'
        }
    }

    It 'reports both Program Files under the catalog''s own spelling' {
        $answer = Invoke-Path -Literal @('%ProgramFiles%\Kaspersky Lab', '%ProgramFiles(x86)%\Kaspersky Lab\', '%ProgramData%\Kaspersky Lab')
        $answer.status | Should -Be 'ok'
        @($answer.records | ForEach-Object { '{0}|{1}|{2}' -f $_.path, $_.real, $_.type }) | Should -Be @(
            '%ProgramFiles%\Kaspersky Lab|C:\Program Files\Kaspersky Lab|dir'
            '%ProgramFiles(x86)%\Kaspersky Lab\|C:\Program Files (x86)\Kaspersky Lab|link'
        )
    }

    It 'is absent when nothing is there' {
        (Invoke-Path -Literal @('%ProgramData%\Kaspersky Lab', 'C:\nothing\*')).status | Should -Be 'absent'
    }

    It 'lists a pattern by long names only' {
        Mock -CommandName Get-ObserveEntry -ModuleName _observe_files -MockWith { 'C:\Windows\System32\drivers\klif.sys' }
        $answer = Invoke-Path -Literal @('%SystemRoot%\System32\drivers\kl*.sys')
        $answer.records[0].real | Should -Be 'C:\Windows\System32\drivers\klif.sys'
        $answer.records[0].path | Should -Be '%SystemRoot%\System32\drivers\kl*.sys'
    }

    It 'passes over %ProgramFiles(x86)% on a 32-bit Windows' {
        $where = $folder.Clone()
        $where.Remove('programfiles(x86)')
        $answer = Invoke-Path -Literal @('%ProgramFiles(x86)%\Kaspersky Lab') -Where $where
        $answer.status | Should -Be 'absent'
    }

    It 'could not tell for <literal>' -ForEach @(
        @{ literal = 'C:\a*\b' }
        @{ literal = 'C:\a?' }
        @{ literal = '%NoSuchVariable%\x' }
        @{ literal = 'relative' }
        @{ literal = '\\server\share\x' }
        @{ literal = 'N:\x' }
    ) {
        $answer = Invoke-Path -Literal @($literal)
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -BeLike '*: *'
    }

    It 'goes on after one it may not look at' {
        $global:FakeFiles['C:\ProgramData\Kaspersky Lab'] = New-Object -TypeName System.UnauthorizedAccessException
        $answer = Invoke-Path -Literal @('%ProgramData%\Kaspersky Lab', '%ProgramFiles%\Kaspersky Lab')
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -Be 'C:\ProgramData\Kaspersky Lab: access denied'
        $answer.records.Count | Should -Be 1
    }
}
