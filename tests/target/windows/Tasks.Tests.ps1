# SPDX-License-Identifier: GPL-3.0-or-later

BeforeAll {
    $utils = Join-Path -Path $PSScriptRoot -ChildPath '../../../plugins/module_utils'
    foreach ($name in @('_observe_core', '_observe_registry', '_observe_files', '_observe_tasks')) {
        Import-Module -Name (Join-Path -Path $utils -ChildPath "$name.psm1") -Force -Global
    }
    . (Join-Path -Path $PSScriptRoot -ChildPath 'FakeRegistry.ps1')
    Mock -CommandName Open-ObserveBaseKey -ModuleName _observe_registry -MockWith { Open-FakeBaseKey -Hive $Hive -View $View }
    Mock -CommandName Get-ObserveTaskFile -ModuleName _observe_tasks -MockWith {
        foreach ($text in $global:TaskTrouble) { [void]$Trouble.Add($text) }
        foreach ($path in @($global:TaskFiles.Keys | Sort-Object)) { @{ path = $path; file = $path; job = $path -like '*.job' } }
    }
    Mock -CommandName Get-ObserveFileData -ModuleName _observe_tasks -MockWith {
        if ($global:TaskFiles[$Path] -is [System.Exception]) { throw $global:TaskFiles[$Path] }
        , [byte[]]$global:TaskFiles[$Path]
    }
    $cache = 'SOFTWARE\Microsoft\Windows NT\CurrentVersion\Schedule\TaskCache\Tasks'
    $rules = 'SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy'

    Function Get-TaskXml {
        param ([string]$Author = 'x', [string]$Command, [string]$Arguments = '', [string]$Encoding = 'Unicode')
        $text = '<?xml version="1.0" encoding="UTF-16"?><Task xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task"><RegistrationInfo>' +
        "<Author>$Author</Author></RegistrationInfo><Actions><Exec><Command>$Command</Command><Arguments>$Arguments</Arguments></Exec></Actions></Task>"
        $encoder = [System.Text.Encoding]::$Encoding
        , [byte[]]($encoder.GetPreamble() + $encoder.GetBytes($text))
    }
    Function Invoke-Task {
        param ([hashtable]$Registry = @{}, [hashtable]$File = @{}, [string[]]$Trouble = @(), [string[]]$Literal = @('kaspersky'))
        Initialize-FakeRegistry -Machine64 $Registry
        $global:TaskFiles = $File
        $global:TaskTrouble = $Trouble
        Invoke-ObserveProbe -Timeout 30 -Script {
            param ($probe)
            Read-ObserveTask -Probe $probe -Folder @{ systemroot = 'C:\Windows' } -Literal $Literal
        }
        Get-FakeOpenKey | Should -Be 0
    }
    Function Invoke-Rule {
        param ([hashtable]$Registry)
        Initialize-FakeRegistry -Machine64 $Registry
        Invoke-ObserveProbe -Timeout 30 -Script { param ($probe) Read-ObserveFirewallRule -Probe $probe -Literal @('kaspersky') }
        Get-FakeOpenKey | Should -Be 0
    }
}

AfterAll {
    Remove-Variable -Name TaskFiles, TaskTrouble -Scope Global
}

Describe 'tasks' {
    It 'finds a task by its <label>' -ForEach @(
        @{ label = 'path'; path = '\Kaspersky\Update'; author = 'x'; command = 'C:\x.exe'; encoding = 'Unicode' }
        @{ label = 'author'; path = '\Update'; author = 'AO Kaspersky Lab'; command = 'C:\x.exe'; encoding = 'Unicode' }
        @{ label = 'command'; path = '\Update'; author = 'x'; command = 'C:\Program Files (x86)\Kaspersky Lab\avp.exe'; encoding = 'Unicode' }
        @{ label = 'command in UTF-8'; path = '\Update'; author = 'x'; command = 'C:\KASPERSKY\avp.exe'; encoding = 'UTF8' }
    ) {
        $answer = Invoke-Task -File @{
            $path = (Get-TaskXml -Author $author -Command $command -Arguments '/all' -Encoding $encoding)
            '\Other' = (Get-TaskXml -Command 'C:\other.exe')
        }
        $answer.status | Should -Be 'ok'
        $answer.records.Count | Should -Be 1
        '{0}|{1}|{2}' -f $answer.records[0].path, $answer.records[0].author, $answer.records[0].command | Should -Be "$path|$author|$command /all"
    }

    It 'finds the vendor in a file that is no XML, and in one of the old kind' {
        $answer = Invoke-Task -File @{
            '\Broken' = [System.Text.Encoding]::Unicode.GetBytes('<Task>C:\Kaspersky Lab\x.exe')
            '\Old.job' = [byte[]](@(1, 0) + [System.Text.Encoding]::Unicode.GetBytes('C:\Kaspersky\x.exe'))
            '\Empty' = [byte[]]@()
        }
        @($answer.records | ForEach-Object { $_.path }) | Should -Be @('\Broken', '\Old.job')
    }

    It 'asks for nothing outside of the file' {
        $text = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><Task><Author>&x;</Author></Task>'
        (Get-ObserveTaskDetail -Text $text).author | Should -Be ''
    }

    It 'takes from the cache what the files do not tell' {
        $actions = [byte[]](@(3, 0, 0x14, 0, 0, 0) + [System.Text.Encoding]::Unicode.GetBytes('C:\Program Files\Kaspersky Lab\avp.exe'))
        $registry = @{
            "$cache\{1}" = @{ Path = '\Hidden'; Author = 'x'; Actions = $actions }
            "$cache\{2}" = @{ Path = '\Kaspersky closed'; Author = 'y' }
            "$cache\{3}" = @{ Path = '\Other' }
        }
        $denied = New-Object -TypeName System.UnauthorizedAccessException
        $answer = Invoke-Task -Registry $registry -File @{ '\Kaspersky closed' = $denied; '\Other' = $denied }
        $answer.reason | Should -Be ''
        @($answer.records | ForEach-Object { '{0} {1}' -f $_.path, $_.author }) | Should -Be @('\Kaspersky closed y', '\Hidden x')
        $answer.records[1].command | Should -BeLike '*C:\Program Files\Kaspersky Lab\avp.exe*'
    }

    It 'names a task that neither of both tells' {
        $answer = Invoke-Task -File @{ '\Closed' = (New-Object -TypeName System.UnauthorizedAccessException) }
        $answer.reason | Should -Be 'task \Closed: access denied'
    }

    It 'is unknown when the folder is closed and the cache is silent' {
        (Invoke-Task -Trouble @('the folder x: access denied')).reason | Should -Be 'the folder x: access denied'
        (Invoke-Task -Trouble @('the folder x: access denied') -Registry @{ $cache = 'denied:list' }).reason |
            Should -Be "the folder x: access denied; HKLM\${cache}: access denied"
        (Invoke-Task -Trouble @('the folder x: access denied') -Registry @{ "$cache\{3}" = @{ Path = '\Other' } }).status | Should -Be 'absent'
    }

    It 'needs no cache when the files are open' {
        (Invoke-Task -Registry @{ $cache = 'denied:open' } -File @{ '\Other' = (Get-TaskXml -Command 'C:\x.exe') }).status | Should -Be 'absent'
    }
}

Describe 'firewall_rules' {
    It 'takes a rule apart' {
        $answer = Invoke-Rule -Registry @{
            "$rules\FirewallRules" = @{
                '{1}' = 'v2.30|Action=Allow|Active=TRUE|Dir=In|Protocol=17|LPort=15000|App=C:\Program Files (x86)\Kaspersky Lab\NetworkAgent\klnagent.exe|Name=Agent = UDP|'
                '{2}' = 'v2.30|Action=Block|Active=FALSE|Dir=Out|App=System|Name=Other|'
                'Kaspersky-3' = 'v2.30|Action=Block|Active=FALSE|Dir=Out|Svc=klnagent|Name=@x.dll,-1|'
                '{4}' = 5
            }
            'SOFTWARE\Policies\Microsoft\WindowsFirewall\FirewallRules' = @{ '{5}' = 'v2|Name=KASPERSKY' }
        }
        $answer.status | Should -Be 'ok'
        @($answer.records | ForEach-Object { '{0}|{1}|{2}|{3}|{4}|{5}' -f $_.id, $_.name, $_.program, $_.direction, $_.action, $_.enabled } | Sort-Object) | Should -Be @(
            '{1}|Agent = UDP|C:\Program Files (x86)\Kaspersky Lab\NetworkAgent\klnagent.exe|in|allow|yes',
            'Kaspersky-3|@x.dll,-1|klnagent|out|block|no',
            '{5}|KASPERSKY||||no' | Sort-Object
        )
    }

    It 'is absent without rules, unknown when they are closed' {
        (Invoke-Rule -Registry @{}).status | Should -Be 'absent'
        (Invoke-Rule -Registry @{ "$rules\FirewallRules" = 'denied:values' }).reason | Should -Be "HKLM\$rules\FirewallRules: access denied"
    }
}
