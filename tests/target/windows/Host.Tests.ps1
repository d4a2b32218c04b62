# SPDX-License-Identifier: GPL-3.0-or-later

BeforeAll {
    $utils = Join-Path -Path $PSScriptRoot -ChildPath '../../../plugins/module_utils'
    foreach ($name in @('_observe_core', '_observe_registry', '_observe_host')) {
        Import-Module -Name (Join-Path -Path $utils -ChildPath "$name.psm1") -Force -Global
    }
    . (Join-Path -Path $PSScriptRoot -ChildPath 'FakeRegistry.ps1')
    Mock -CommandName Open-ObserveBaseKey -ModuleName _observe_registry -MockWith { Open-FakeBaseKey -Hive $Hive -View $View }
    Mock -CommandName Get-ObserveIdentity -ModuleName _observe_host -MockWith { @{ user = 'LAB\admin'; elevated = 'yes' } }
    Mock -CommandName Get-ObserveHostName -ModuleName _observe_host -MockWith { 'a-long-host-name' }

    $current = 'SOFTWARE\Microsoft\Windows NT\CurrentVersion'
    $control = 'SYSTEM\CurrentControlSet\Control'
    $windows10 = @{
        ProductName = 'Windows 10 Pro'
        InstallationType = 'Client'
        CurrentMajorVersionNumber = 10
        CurrentMinorVersionNumber = 0
        CurrentVersion = '6.3'
        CurrentBuild = '19045'
        UBR = 3803
    }
    Function Invoke-Host {
        param ([hashtable]$Version, [hashtable]$Change = @{})
        $tree = @{
            $current = $Version
            "$control\ProductOptions" = @{ ProductType = 'WinNT' }
            "$control\Session Manager\Environment" = @{ PROCESSOR_ARCHITECTURE = 'AMD64' }
            'SOFTWARE\Microsoft\Cryptography' = @{ MachineGuid = '4b3f0a52-0000-4000-8000-000000000000' }
        }
        foreach ($path in @($Change.Keys)) { $tree[$path] = $Change[$path] }
        Initialize-FakeRegistry -Machine64 $tree
        Invoke-ObserveProbe -Timeout 5 -Script { param ($probe) Read-ObserveHost -Probe $probe }
    }
}

Describe 'host' {
    AfterEach {
        Get-FakeOpenKey | Should -Be 0 -Because 'every key that was opened must be disposed'
        Remove-Variable -Name FakeRegistry -Scope Global
    }

    It 'says who this is' {
        $answer = Invoke-Host -Version $windows10
        $answer.status | Should -Be 'ok'
        $record = $answer.records[0]
        @($record.Keys | Sort-Object) | Should -Be @(
            'arch', 'container', 'elevated', 'hostname', 'machine_id', 'os_build', 'os_name', 'os_version', 'powershell', 'product_type', 'user'
        )
        $record.os_name | Should -Be 'Windows 10 Pro'
        $record.os_version | Should -Be '10.0.19045'
        $record.os_build | Should -Be '19045.3803'
        $record.product_type | Should -Be 'workstation'
        $record.arch | Should -Be 'x86_64'
        $record.container | Should -Be ''
        $record.machine_id | Should -Be '4b3f0a52-0000-4000-8000-000000000000'
    }

    It 'knows Windows 11 by its build' {
        $version = $windows10.Clone()
        $version.CurrentBuild = '22631'
        (Invoke-Host -Version $version).records[0].os_name | Should -Be 'Windows 11 Pro'
    }

    It 'knows an old server and a domain controller' {
        $version = @{ ProductName = 'Windows Server 2008 R2 Standard'; CurrentVersion = '6.1'; CurrentBuild = '7601' }
        $record = (Invoke-Host -Version $version -Change @{ "$control\ProductOptions" = @{ ProductType = 'LanmanNT' } }).records[0]
        $record.os_version | Should -Be '6.1.7601'
        $record.os_build | Should -Be '7601'
        $record.product_type | Should -Be 'domain_controller'
    }

    It 'takes the kind of installation when the product type is missing' {
        $version = $windows10.Clone()
        $version.InstallationType = 'Server Core'
        (Invoke-Host -Version $version -Change @{ "$control\ProductOptions" = @{} }).records[0].product_type | Should -Be 'server'
    }

    It 'knows a container' {
        (Invoke-Host -Version $windows10 -Change @{ $control = @{ ContainerType = 2 } }).records[0].container | Should -Be 'other'
    }

    It 'could not tell who this is without a machine id, and says the rest' {
        $answer = Invoke-Host -Version $windows10 -Change @{ 'SOFTWARE\Microsoft\Cryptography' = 'denied:open' }
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -BeLike '*HKLM\SOFTWARE\Microsoft\Cryptography: access denied*'
        $answer.records[0].os_name | Should -Be 'Windows 10 Pro'
    }
}
