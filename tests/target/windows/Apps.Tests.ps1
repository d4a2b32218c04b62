# SPDX-License-Identifier: GPL-3.0-or-later

BeforeAll {
    $utils = Join-Path -Path $PSScriptRoot -ChildPath '../../../plugins/module_utils'
    foreach ($name in @('_observe_core', '_observe_registry', '_observe_files', '_observe_hives', '_observe_tasks', '_observe_apps', '_observe_startup')) {
        Import-Module -Name (Join-Path -Path $utils -ChildPath "$name.psm1") -Force -Global
    }
    . (Join-Path -Path $PSScriptRoot -ChildPath 'FakeRegistry.ps1')
    foreach ($module in @('_observe_registry', '_observe_hives', '_observe_apps', '_observe_startup')) {
        Mock -CommandName Open-ObserveBaseKey -ModuleName $module -MockWith { Open-FakeBaseKey -Hive $Hive -View $View }
    }
    foreach ($module in @('_observe_registry', '_observe_apps')) {
        Mock -CommandName Get-ObserveView -ModuleName $module -MockWith { '64'; '32' }
    }
    foreach ($module in @('_observe_apps', '_observe_startup')) {
        Mock -CommandName Add-ObserveUnloadedHive -ModuleName $module -MockWith { }
        # Files: path -> 'dir', or a file's bytes, or an exception.
        Mock -CommandName Get-ObserveFileType -ModuleName $module -MockWith {
            if (-not $global:Files.ContainsKey($Path)) { return 'none' }
            if ($global:Files[$Path] -is [string]) { $global:Files[$Path] } else { 'file' }
        }
        Mock -CommandName Get-ObserveEntry -ModuleName $module -MockWith {
            if ($global:Files[$Parent] -eq 'dir' -and $global:Files.ContainsKey("$Parent!")) { throw $global:Files["$Parent!"] }
            foreach ($path in @($global:Files.Keys | Sort-Object)) {
                $name = $path.Substring($path.LastIndexOf('\') + 1)
                if ($path -eq "$Parent\$name" -and $name -like $Pattern) { $path }
            }
        }
    }
    Mock -CommandName Get-ObserveFileData -ModuleName _observe_startup -MockWith {
        if ($global:Files[$Path] -is [System.Exception]) { throw $global:Files[$Path] }
        , [byte[]]$global:Files[$Path]
    }
    $sid = 'S-1-5-21-1-2-3-1001'
    $id = 'ahkjpbeeocnddjkakilopmfdlnjdpcdm'
    $folder = @{ systemroot = 'C:\Windows'; systemdrive = 'C:'; programfiles = 'C:\Program Files'; programdata = 'C:\ProgramData' }
    $profiles = 'SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList'
    $windows = 'Microsoft\Windows\CurrentVersion'
    $denied = New-Object -TypeName System.UnauthorizedAccessException

    Function Invoke-Reader {
        param ([string]$Read, [hashtable]$Machine64 = @{}, [hashtable]$Machine32 = @{}, [hashtable]$Users = @{}, [hashtable]$File = @{}, [string[]]$Literal = @('kaspersky', $id))
        Initialize-FakeRegistry -Machine64 $Machine64 -Machine32 $Machine32 -Users $Users
        $global:Files = $File
        Invoke-ObserveProbe -Timeout 60 -Script { param ($probe) & $Read -Probe $probe -Folder $folder -Literal $Literal }
        Get-FakeOpenKey | Should -Be 0 -Because 'every key that was opened must be disposed'
    }
}

AfterAll {
    Remove-Variable -Name Files -Scope Global
}

Describe 'extensions' {
    BeforeAll {
        Function Invoke-Extension {
            param ([hashtable]$Machine64 = @{}, [hashtable]$Machine32 = @{}, [hashtable]$Users = @{}, [hashtable]$File = @{})
            Invoke-Reader -Read Read-ObserveExtension -Machine64 $Machine64 -Machine32 $Machine32 -Users $Users -File $File
        }
    }

    It 'finds a browser''s extension, native host and policy, whoever it is of' {
        $answer = Invoke-Extension -Machine64 @{
            "SOFTWARE\Google\Chrome\NativeMessagingHosts\com.kaspersky.$id.host" = @{ '' = 'C:\x\host.json' }
            'SOFTWARE\Google\Chrome\NativeMessagingHosts\com.other' = @{ '' = 'C:\other.json' }
            'SOFTWARE\Policies\Microsoft\Edge\ExtensionInstallForcelist' = @{ '1' = "$id;https://edge.example/update"; '2' = 'other;x' }
            'SOFTWARE\Policies\Google\Chrome' = @{ ExtensionSettings = "{`"$id`": {`"installation_mode`": `"force_installed`"}, `"x`": {}}" }
        } -Machine32 @{
            "SOFTWARE\Google\Chrome\Extensions\$id" = @{ path = 'C:\Program Files (x86)\Kaspersky Lab\k.crx'; version = '1' }
        } -Users @{
            "$sid\Software\Mozilla\Firefox\Extensions" = @{ 'light_plugin@kaspersky.com' = 'C:\x.xpi'; 'other@x' = 'C:\y.xpi' }
        }
        $answer.status | Should -Be 'ok'
        @($answer.records | ForEach-Object { '{0} {1} {2} {3}{4} {5}' -f $_.browser, $_.kind, $_.id, $_.hive, $_.sid, $_.path } | Sort-Object) | Should -Be @(
            "chrome extension $id machine C:\Program Files (x86)\Kaspersky Lab\k.crx",
            "chrome native_host com.kaspersky.$id.host machine C:\x\host.json",
            "chrome policy $id machine {`"installation_mode`": `"force_installed`"}",
            "edge policy $id machine https://edge.example/update",
            "firefox extension light_plugin@kaspersky.com user$sid C:\x.xpi" | Sort-Object
        )
    }

    It 'finds an add-in of Office by its names, and a toolbar by the name of its class' {
        $toolbar = '{3507FA00-ADA2-4A02-99B9-51AD26CA9120}'
        $answer = Invoke-Extension -Machine64 @{
            'SOFTWARE\Microsoft\Office\Outlook\Addins\KavAddin.1' = @{ FriendlyName = 'Kaspersky Outlook Anti-Virus Addin'; LoadBehavior = 3 }
            "SOFTWARE\Classes\CLSID\$toolbar" = @{ '' = 'Kaspersky Protection Toolbar' }
            "SOFTWARE\Classes\CLSID\$toolbar\InprocServer32" = @{ '' = 'C:\k.dll' }
        } -Machine32 @{ 'SOFTWARE\Microsoft\Internet Explorer\Toolbar' = @{ $toolbar = '' } }
        @($answer.records | ForEach-Object { '{0} {1} {2} {3}' -f $_.browser, $_.kind, $_.name, $_.path } | Sort-Object) | Should -Be @(
            'ie extension Kaspersky Protection Toolbar C:\k.dll', 'outlook addin Kaspersky Outlook Anti-Virus Addin '
        )
    }

    It 'tells once what both views show' {
        $key = @{ "SOFTWARE\Google\Chrome\Extensions\$id" = @{ path = 'C:\k.crx' } }
        (Invoke-Extension -Machine64 $key -Machine32 $key).records.Count | Should -Be 1
    }

    It 'finds an extension''s folder in a profile whose hive is not loaded' {
        $base = 'C:\Users\a\AppData\Local\Google\Chrome\User Data'
        $file = @{
            'C:\Users\a' = 'dir'; $base = 'dir'; "$base\Default" = 'dir'; "$base\Default\Extensions" = 'dir'
            "$base\Default\Extensions\$id" = 'dir'; "$base\Default\Extensions\other" = 'dir'; "$base\Profile 2" = 'dir'
        }
        $registry = @{ "$profiles\$sid" = @{ ProfileImagePath = '%SystemDrive%\Users\a' }; "$profiles\S-1-5-21-9" = @{ ProfileImagePath = 'C:\Users\gone' } }
        $answer = Invoke-Extension -Machine64 $registry -File $file
        $answer.status | Should -Be 'ok'
        '{0} {1}' -f $answer.records[0].sid, $answer.records[0].path | Should -Be "$sid $base\Default\Extensions\$id"
        $file["$base!"] = $denied
        (Invoke-Extension -Machine64 $registry -File $file).reason | Should -Be "${base}: access denied"
    }

    It 'is absent on a clean host, and names what is closed' {
        (Invoke-Extension).status | Should -Be 'absent'
        (Invoke-Extension -Users @{ "$sid\Software\Google\Chrome\Extensions" = 'denied:list' }).reason |
            Should -Be "HKU\$sid\Software\Google\Chrome\Extensions: access denied"
        Should -Invoke -CommandName Add-ObserveUnloadedHive -ModuleName _observe_apps -ParameterFilter { $Loaded -contains $sid -and $Literal -contains $id }
    }
}

Describe 'appx' {
    BeforeAll {
        $store = "SOFTWARE\$windows\Appx\AppxAllUserStore"
        $name = 'KasperskyLab.KasperskyNow_1.2.3.0_x64__abcdefgh12345'
    }

    It 'finds packages of all users, provisioned ones and those of the folder' {
        $answer = Invoke-Reader -Read Read-ObserveAppx -Machine64 @{
            "$store\Applications\$name" = @{}
            "$store\$sid\Kaspersky.ShellEx_1.0.0.0_x64__hash" = @{}
            "$store\$sid\Other_1.0.0.0_x64__hash" = @{}
            "$store\Config\Kaspersky_no" = @{}
        } -Users @{
            "${sid}_Classes\Local Settings\Software\Microsoft\Windows\CurrentVersion\AppModel\Repository\Packages\Kaspersky.One_2_x64__h" = @{}
        } -File @{ 'C:\Program Files\WindowsApps' = 'dir'; "C:\Program Files\WindowsApps\$name" = 'dir'; 'C:\Program Files\WindowsApps\Kaspersky.Two_1_x64__h' = 'dir' }
        $answer.status | Should -Be 'ok'
        @($answer.records | ForEach-Object { '{0} {1} {2} {3}' -f $_.name, $_.version, $_.publisher, $_.scope } | Sort-Object) | Should -Be @(
            'Kaspersky.One 2 h installed', 'Kaspersky.ShellEx 1.0.0.0 hash installed', 'Kaspersky.Two 1 h installed',
            'KasperskyLab.KasperskyNow 1.2.3.0 abcdefgh12345 provisioned' | Sort-Object
        )
    }

    It 'needs the folder only when the registry is closed' {
        $file = @{ 'C:\Program Files\WindowsApps' = 'dir'; 'C:\Program Files\WindowsApps!' = $denied }
        (Invoke-Reader -Read Read-ObserveAppx -File $file).status | Should -Be 'absent'
        (Invoke-Reader -Read Read-ObserveAppx -Machine64 @{ $store = 'denied:list' } -File $file).reason |
            Should -Be "HKLM\${store}: access denied; C:\Program Files\WindowsApps: access denied"
    }
}

Describe 'reinstall' {
    BeforeAll {
        Function Invoke-Reinstall {
            param ([hashtable]$Machine64 = @{}, [hashtable]$Machine32 = @{}, [hashtable]$Users = @{}, [hashtable]$File = @{})
            Invoke-Reader -Read Read-ObserveReinstall -Machine64 $Machine64 -Machine32 $Machine32 -Users $Users -File $File
        }
    }

    It 'finds <kind> in <path>' -ForEach @(
        @{ kind = 'run'; path = 'SOFTWARE\Microsoft\Windows\CurrentVersion\Run'; values = @{ Up = '"C:\Program Files\Kaspersky Lab\x.exe"' } }
        @{ kind = 'run'; path = 'SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon'; values = @{ Shell = 'explorer.exe, C:\Kaspersky\x.exe' } }
        @{ kind = 'startup_script'; path = 'SOFTWARE\Microsoft\Windows\CurrentVersion\Group Policy\State\Machine\Scripts\Startup\0\0'; values = @{ Script = '\\dc\netlogon\kaspersky.cmd' } }
        @{ kind = 'gpo_software'; path = 'SOFTWARE\Microsoft\Windows\CurrentVersion\Group Policy\AppMgmt\{1}'; values = @{ 'Deployment Name' = 'Kaspersky Network Agent' } }
        @{ kind = 'active_setup'; path = 'SOFTWARE\Microsoft\Active Setup\Installed Components\{1}'; values = @{ StubPath = 'msiexec /i kaspersky.msi' } }
        @{ kind = 'management'; path = 'SOFTWARE\Microsoft\IntuneManagementExtension\Win32Apps\u\a'; values = @{ Name = 'KASPERSKY' } }
    ) {
        $answer = Invoke-Reinstall -Machine64 @{ $path = ($values + @{ Other = 'C:\other.exe' }) }
        $answer.status | Should -Be 'ok'
        $answer.records.Count | Should -Be 1
        $answer.records[0].kind | Should -Be $kind
        $answer.records[0].source | Should -Be "HKLM\$path"
        $answer.records[0].text | Should -Be ('{0} = {1}' -f @($values.Keys)[0], @($values.Values)[0])
    }

    It 'leaves alone what only names a folder of the vendor' {
        (Invoke-Reinstall -Users @{ "$sid\Environment" = @{ Path = 'C:\Kaspersky Lab' } }).status | Should -Be 'absent'
        (Invoke-Reinstall -Users @{ "$sid\Environment" = @{ UserInitMprLogonScript = 'C:\Kaspersky Lab\x.cmd' } }).records[0].kind | Should -Be 'logon_script'
    }

    It 'reads both views and each loaded user' {
        $answer = Invoke-Reinstall -Machine32 @{ "SOFTWARE\$windows\Run" = @{ A = 'kaspersky 1' } } -Users @{
            "$sid\Software\$windows\RunOnce" = @{ B = 'kaspersky 2' }
            "$sid\Software\Wow6432Node\$windows\Run" = @{ C = 'kaspersky 3' }
        }
        @($answer.records | ForEach-Object { $_.text } | Sort-Object) | Should -Be @('A = kaspersky 1', 'B = kaspersky 2', 'C = kaspersky 3')
    }

    It 'finds a link and a script in Startup folders, of all users and of one that is not signed in' {
        $all = 'C:\ProgramData\Microsoft\Windows\Start Menu\Programs\Startup'
        $own = 'C:\Users\a\AppData\Roaming\Microsoft\Windows\Start Menu\Programs\Startup'
        $answer = Invoke-Reinstall -Machine64 @{ "$profiles\$sid" = @{ ProfileImagePath = 'C:\Users\a' } } -File @{
            $all = 'dir'
            "$all\Update.lnk" = [byte[]](@(0x4C, 0, 0) + [System.Text.Encoding]::Unicode.GetBytes('C:\Program Files\Kaspersky Lab\x.exe') + @(0, 0))
            "$all\other.lnk" = [byte[]]@(1, 2, 3)
            "$all\desktop.ini" = [byte[]]@(1)
            $own = 'dir'
            "$own\run.cmd" = [System.Text.Encoding]::ASCII.GetBytes("@echo off`r`nstart C:\KASPERSKY\x.exe`r`n")
        }
        $answer.reason | Should -Be ''
        @($answer.records | ForEach-Object { $_.text }) | Should -Be @(
            'Update.lnk: C:\Program Files\Kaspersky Lab\x.exe', 'run.cmd: start C:\KASPERSKY\x.exe'
        )
        @($answer.records | ForEach-Object { $_.source }) | Should -Be @($all, $own)
    }

    It 'finds a script of the local policy' {
        $path = 'C:\Windows\System32\GroupPolicy\Machine\Scripts\scripts.ini'
        $answer = Invoke-Reinstall -File @{ $path = [System.Text.Encoding]::Unicode.GetBytes("[Startup]`r`n0CmdLine=C:\kaspersky.cmd`r`n") }
        '{0} {1}' -f $answer.records[0].kind, $answer.records[0].text | Should -Be 'startup_script 0CmdLine=C:\kaspersky.cmd'
    }

    It 'is absent on a clean host, and names what is closed' {
        (Invoke-Reinstall).status | Should -Be 'absent'
        (Invoke-Reinstall -Machine64 @{ "SOFTWARE\$windows\Run" = 'denied:values' }).reason | Should -Be "HKLM\SOFTWARE\$windows\Run: access denied"
        $all = 'C:\ProgramData\Microsoft\Windows\Start Menu\Programs\Startup'
        (Invoke-Reinstall -File @{ $all = 'dir'; "$all!" = $denied }).reason | Should -Be "${all}: access denied"
        Should -Invoke -CommandName Add-ObserveUnloadedHive -ModuleName _observe_startup -ParameterFilter { $Literal -contains 'kaspersky' }
    }
}
