# SPDX-License-Identifier: GPL-3.0-or-later

BeforeAll {
    $utils = Join-Path -Path $PSScriptRoot -ChildPath '../../../plugins/module_utils'
    foreach ($name in @('_observe_core', '_observe_registry', '_observe_files', '_observe_hives')) {
        Import-Module -Name (Join-Path -Path $utils -ChildPath "$name.psm1") -Force -Global
    }
    if ($null -eq ('ansible_collections.evict.kaspersky.plugins.module_utils._ObserveHive.HiveFile' -as [type])) {
        Add-Type -TypeDefinition ([System.IO.File]::ReadAllText((Join-Path -Path $utils -ChildPath '_ObserveHive.cs')))
    }
    . (Join-Path -Path $PSScriptRoot -ChildPath 'FakeRegistry.ps1')
    Mock -CommandName Open-ObserveBaseKey -ModuleName _observe_hives -MockWith { Open-FakeBaseKey -Hive $Hive -View $View }
    Mock -CommandName Get-ObserveFolder -ModuleName _observe_hives -MockWith { @{ systemroot = 'C:\Windows'; systemdrive = 'C:' } }
    $profiles = 'SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList'
    $sid = 'S-1-5-21-9-9-9-1105'
    $cyrillic = [string][char]0x043A + [char]0x0430 + [char]0x0441
    $upper = [string][char]0x041A + [char]0x0410 + [char]0x0421

    # A file that begins as a hive does: signature, a page, and the given bytes at a place of its own.
    Function Write-Hive {
        param ([string]$Path, [byte[]]$Bytes = @(), [int]$At = 4096, [int]$Size = 8192, [string]$Signature = 'regf')
        $all = New-Object -TypeName 'byte[]' -ArgumentList ([Math]::Max($Size, $At + $Bytes.Length))
        [System.Text.Encoding]::ASCII.GetBytes($Signature).CopyTo($all, 0)
        $Bytes.CopyTo($all, $At)
        [System.IO.File]::WriteAllBytes($Path, $all)
    }
    Function Find-Text {
        param ([string]$Path, [string[]]$Text, [bool]$IsHive = $true)
        @(Find-ObserveHiveText -Path $Path -Text $Text -IsHive $IsHive -Milliseconds 60000 | Sort-Object)
    }
    # Beneath the fakes: the files of a profile and what is in them.
    Function Invoke-Hive {
        param ([hashtable]$Registry, [string[]]$Literal = @(), [string[]]$Root = @(), [switch]$Certificate, [string[]]$Loaded = @())
        Initialize-FakeRegistry -Machine64 $Registry
        Invoke-ObserveProbe -Timeout 60 -Script {
            param ($probe)
            Add-ObserveUnloadedHive -Probe $probe -Loaded $Loaded -Literal $Literal -Root $Root -Certificate:$Certificate
        }
    }
}

Describe 'HiveFile' {
    It 'finds a name stored as <label>' -ForEach @(
        @{ label = 'Latin-1'; encoding = 28591; text = 'Kaspersky Free'; literal = 'kaspersky' }
        @{ label = 'Latin-1 in capitals'; encoding = 28591; text = 'KASPERSKYLAB'; literal = 'kasperskylab' }
        @{ label = 'UTF-16'; encoding = 1200; text = 'AO Kaspersky Lab'; literal = 'kaspersky' }
        @{ label = 'UTF-16BE, as in a certificate'; encoding = 1201; text = 'AO Kaspersky Lab'; literal = 'kaspersky' }
        @{ label = 'UTF-8'; encoding = 65001; text = 'Kaspersky'; literal = 'kaspersky' }
        @{ label = 'a product code'; encoding = 28591; text = '{27534751-4A40-48BD-B393-BC3BF28C876E}'; literal = '{27534751-4a40-48bd-b393-bc3bf28c876e}' }
    ) {
        $file = Join-Path -Path $TestDrive -ChildPath 'a'
        foreach ($place in @(4096, 4100, 5003)) {
            $aligned = if ($encoding -eq 1200) { $place - $place % 2 } else { $place }
            Write-Hive -Path $file -Bytes ([System.Text.Encoding]::GetEncoding($encoding).GetBytes($text)) -At $aligned
            Find-Text -Path $file -Text @($literal, 'nothing of it') | Should -Be @($literal)
        }
    }

    It 'compares Cyrillic without regard to case in code page <encoding>' -ForEach @(
        @{ encoding = 1200 }, @{ encoding = 1201 }, @{ encoding = 65001 }
    ) {
        $file = Join-Path -Path $TestDrive -ChildPath 'b'
        Write-Hive -Path $file -Bytes ([System.Text.Encoding]::GetEncoding($encoding).GetBytes("x$upper"))
        Find-Text -Path $file -Text @($cyrillic) | Should -Be @($cyrillic)
    }

    It 'finds a text across the pieces in which it reads' {
        $file = Join-Path -Path $TestDrive -ChildPath 'c'
        foreach ($encoding in @(28591, 1200)) {
            $bytes = [System.Text.Encoding]::GetEncoding($encoding).GetBytes('KasperskyLab')
            Write-Hive -Path $file -Bytes $bytes -At (1048576 - 6) -Size 2097152
            Find-Text -Path $file -Text @('kasperskylab') | Should -Be @('kasperskylab')
        }
    }

    It 'finds texts that begin or end with another one' {
        $file = Join-Path -Path $TestDrive -ChildPath 'd'
        Write-Hive -Path $file -Bytes ([System.Text.Encoding]::ASCII.GetBytes('xabcabd'))
        Find-Text -Path $file -Text @('abd', 'bcab', 'abcabx', 'cab', 'd') | Should -Be @('abd', 'bcab', 'cab', 'd')
    }

    It 'does not find what is not there' {
        $file = Join-Path -Path $TestDrive -ChildPath 'e'
        Write-Hive -Path $file -Bytes ([System.Text.Encoding]::Unicode.GetBytes('Kasper-sky, Kaspersk'))
        Find-Text -Path $file -Text @('kaspersky') | Should -BeNullOrEmpty
    }

    It 'takes only a hive for a hive' {
        $file = Join-Path -Path $TestDrive -ChildPath 'f'
        Write-Hive -Path $file -Signature 'text'
        { Find-Text -Path $file -Text @('a') } | Should -Throw -ExpectedMessage '*not a registry hive*'
        Find-Text -Path $file -Text @('a') -IsHive $false | Should -BeNullOrEmpty
        [System.IO.File]::WriteAllText($file, 'regf')
        { Find-Text -Path $file -Text @('a') } | Should -Throw -ExpectedMessage '*not a registry hive*'
    }

    It 'reads a file that somebody has open for writing' {
        $file = Join-Path -Path $TestDrive -ChildPath 'g'
        Write-Hive -Path $file -Bytes ([System.Text.Encoding]::ASCII.GetBytes('kaspersky'))
        $open = New-Object -TypeName System.IO.FileStream -ArgumentList @($file, 'Open', 'ReadWrite', 'ReadWrite')
        try {
            Find-Text -Path $file -Text @('kaspersky') | Should -Be @('kaspersky')
        }
        finally {
            $open.Dispose()
        }
    }
}

Describe 'Get-ObserveHiveWord' {
    It 'takes of <literal> what a certificate holds in one piece' -ForEach @(
        @{ literal = 'Kaspersky'; word = 'kaspersky' }
        @{ literal = 'cn=kaspersky anti-virus'; word = 'kaspersky anti-virus' }
        @{ literal = 'o=ao kaspersky lab, c=ru'; word = 'ao kaspersky lab' }
        @{ literal = 'cn=a'; word = '' }
    ) {
        Get-ObserveHiveWord -Literal $literal -Certificate | Should -Be $word
    }
}

Describe 'hives that are not loaded' {
    BeforeAll {
        # A profile's folder is C:\Users\<leaf>; its files are those of a folder of the test.
        Mock -CommandName Get-ObserveFileType -ModuleName _observe_hives -MockWith {
            if ($Path -like '*gone') { 'none' } elseif ($Path -like '*link') { 'link' } elseif ($Path -like '\\*') { 'unknown: not a path on a local drive' } else { 'dir' }
        }
        Mock -CommandName Get-ObserveEntry -ModuleName _observe_hives -MockWith {
            if ($Parent -like '*closed') {
                throw (New-Object -TypeName System.UnauthorizedAccessException)
            }
            foreach ($name in $global:HiveFiles) { '{0}\{1}' -f $Parent, $name }
        }
        Mock -CommandName Find-ObserveHiveText -ModuleName _observe_hives -MockWith {
            $global:HiveReads += $Path
            $leaf = $Path.Substring($Path.LastIndexOf('\') + 1)
            if ($Path -like '*locked*') {
                throw (New-Object -TypeName System.IO.IOException -ArgumentList 'in use')
            }
            $real = Join-Path -Path $TestDrive -ChildPath $leaf
            ('ansible_collections.evict.kaspersky.plugins.module_utils._ObserveHive.HiveFile' -as [type])::Find($real, $Text, $IsHive, 60000)
        }
        $global:HiveFiles = @()
        $global:HiveReads = @()
        $ascii = [System.Text.Encoding]::ASCII
    }

    BeforeEach {
        # A module forgets what it read only when it is loaded again, so each case has a profile of its own.
        $case = [string][guid]::NewGuid()
        $global:HiveFiles = @('NTUSER.DAT', 'ntuser.dat.LOG1', 'NTUSER.DAT{53b39e88-18c4-11ea-a811-000d3aa4692b}.TM.blf', 'ntuser.ini', 'NTUSER.DAT.old')
        $global:HiveReads = @()
        Write-Hive -Path (Join-Path -Path $TestDrive -ChildPath 'NTUSER.DAT') -Bytes ($ascii.GetBytes('Software Microsoft Uninstall'))
        foreach ($name in $global:HiveFiles[1..4]) {
            [System.IO.File]::WriteAllText((Join-Path -Path $TestDrive -ChildPath $name), 'HvLE')
        }
    }

    AfterAll {
        Remove-Variable -Name HiveFiles, HiveReads -Scope Global
    }

    It 'counts as inspected when its files hold none of the texts' {
        $answer = Invoke-Hive -Registry @{ "$profiles\$sid" = @{ ProfileImagePath = "C:\Users\$case" } } -Literal @('kaspersky') -Root @('Software\KasperskyLab')
        $answer.reason | Should -Be ''
        $answer.status | Should -Be 'absent'
        @($global:HiveReads | Sort-Object) | Should -Be @(
            "C:\Users\$case\NTUSER.DAT"
            "C:\Users\$case\ntuser.dat.LOG1"
            "C:\Users\$case\NTUSER.DAT{53b39e88-18c4-11ea-a811-000d3aa4692b}.TM.blf"
        )
        Get-FakeOpenKey | Should -Be 0
    }

    It 'reads each file once for all probes' {
        Add-ObserveHiveWord -Literal @('kaspersky', 'other')
        $registry = @{ "$profiles\$sid" = @{ ProfileImagePath = "C:\Users\$case" } }
        $null = Invoke-Hive -Registry $registry -Literal @('kaspersky')
        $null = Invoke-Hive -Registry $registry -Literal @('other')
        $global:HiveReads.Count | Should -Be 3
    }

    It 'cannot be told when <file> holds the text' -ForEach @(@{ file = 'NTUSER.DAT' }, @{ file = 'ntuser.dat.LOG1' }) {
        Write-Hive -Path (Join-Path -Path $TestDrive -ChildPath $file) -Bytes ([System.Text.Encoding]::Unicode.GetBytes('AO Kaspersky Lab'))
        $answer = Invoke-Hive -Registry @{ "$profiles\$sid" = @{ ProfileImagePath = "C:\Users\$case" } } -Literal @('kaspersky')
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -Be ("user hive not loaded: $sid (C:\Users\$case), and its file holds the text kaspersky: " +
            'let the user sign in and audit again, or look into the hive')
    }

    It 'needs every name on the way to a key' {
        Write-Hive -Path (Join-Path -Path $TestDrive -ChildPath 'NTUSER.DAT') -Bytes ($ascii.GetBytes('SOFTWARE Vendor'))
        $registry = @{ "$profiles\$sid" = @{ ProfileImagePath = "C:\Users\$case" } }
        (Invoke-Hive -Registry $registry -Root @('Software\Vendor\Product')).status | Should -Be 'absent'
        (Invoke-Hive -Registry $registry -Root @('Software\Vendor')).reason | Should -BeLike '*holds the text Vendor:*'
    }

    It 'cannot tell for a literal of which a certificate holds no piece' {
        $registry = @{ "$profiles\$sid" = @{ ProfileImagePath = "C:\Users\$case" } }
        (Invoke-Hive -Registry $registry -Literal @('c=ru') -Certificate).reason | Should -BeLike '*holds the text c=ru:*'
    }

    It 'names a profile whose <label>' -ForEach @(
        @{ label = 'folder is not there'; path = 'C:\Users\gone'; why = 'its folder is not there' }
        @{ label = 'folder is a link'; path = 'C:\Users\link'; why = 'its folder is a link' }
        @{ label = 'folder is on a server'; path = '\\server\homes\a'; why = 'its folder: not a path on a local drive' }
        @{ label = 'folder is closed'; path = 'C:\Users\closed'; why = 'its folder: access denied' }
        @{ label = 'folder is not known'; path = ''; why = 'its folder is not known' }
        @{ label = 'file is locked'; path = 'C:\Users\locked'; why = 'NTUSER.DAT: IOException: in use' }
    ) {
        $answer = Invoke-Hive -Registry @{ "$profiles\$sid" = @{ ProfileImagePath = $path } } -Literal @('kaspersky')
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -Be "user hive not loaded: $sid ($path): $why"
    }

    It 'names a profile without a hive file' {
        $global:HiveFiles = @('ntuser.ini')
        $answer = Invoke-Hive -Registry @{ "$profiles\$sid" = @{ ProfileImagePath = "C:\Users\$case" } } -Literal @('kaspersky')
        $answer.reason | Should -BeLike '*: no hive file in its folder'
    }

    It 'leaves loaded hives and accounts of the system alone' {
        $registry = @{ "$profiles\$sid" = @{ ProfileImagePath = "C:\Users\$case" }; "$profiles\S-1-5-18" = @{ ProfileImagePath = 'C:\Users\gone' } }
        (Invoke-Hive -Registry $registry -Literal @('kaspersky') -Loaded @($sid)).status | Should -Be 'absent'
        $global:HiveReads | Should -BeNullOrEmpty
    }

    It 'knows a second entry of a loaded profile by its folder' {
        $registry = @{ "$profiles\$sid" = @{ ProfileImagePath = "C:\Users\$case" }; "$profiles\$sid.bak" = @{ ProfileImagePath = "C:\Users\$case" } }
        (Invoke-Hive -Registry $registry -Literal @('kaspersky') -Loaded @($sid)).status | Should -Be 'absent'
        $global:HiveReads | Should -BeNullOrEmpty
    }

    It 'reads the files before the first probe asks, and names those for which there was no time' {
        Add-ObserveHiveWord -Literal @('kaspersky')
        $registry = @{ "$profiles\$sid" = @{ ProfileImagePath = "C:\Users\$case" } }
        Initialize-FakeRegistry -Machine64 $registry
        $null = Invoke-ObserveProbe -Timeout 60 -Script { param ($probe) Read-ObserveUnloadedHive -Probe $probe }
        $global:HiveReads.Count | Should -Be 3
        (Invoke-Hive -Registry $registry -Literal @('kaspersky')).status | Should -Be 'absent'
        $global:HiveReads.Count | Should -Be 3
        $late = @{ "$profiles\$sid" = @{ ProfileImagePath = "C:\Users\late-$case" } }
        Initialize-FakeRegistry -Machine64 $late
        $answer = Invoke-ObserveProbe -Timeout 0 -Script { param ($probe) Add-ObserveUnloadedHive -Probe $probe -Loaded @() -Literal @('kaspersky') }
        $answer.status | Should -Be 'unknown'
    }
}
