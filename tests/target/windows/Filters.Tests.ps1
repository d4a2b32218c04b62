# SPDX-License-Identifier: GPL-3.0-or-later

BeforeAll {
    $utils = Join-Path -Path $PSScriptRoot -ChildPath '../../../plugins/module_utils'
    foreach ($name in @('_observe_core', '_observe_registry', '_observe_filters')) {
        Import-Module -Name (Join-Path -Path $utils -ChildPath "$name.psm1") -Force -Global
    }
    . (Join-Path -Path $PSScriptRoot -ChildPath 'FakeRegistry.ps1')
    Mock -CommandName Open-ObserveBaseKey -ModuleName _observe_registry -MockWith { Open-FakeBaseKey -Hive $Hive -View $View }
    Mock -CommandName Get-ObserveLoadedMinifilter -ModuleName _observe_filters -MockWith { $global:Loaded }
    $services = 'SYSTEM\CurrentControlSet\Services'
    $class = 'SYSTEM\CurrentControlSet\Control\Class'
    $network = 'SYSTEM\CurrentControlSet\Control\Network'
    $policy = "$services\BFE\Parameters\Policy\Persistent"

    Function Invoke-Filter {
        param ([string]$Read, [string[]]$Literal)
        Invoke-ObserveProbe -Timeout 30 -Script { param ($probe) & $Read -Probe $probe -Literal $Literal }
    }
    # A value as the filtering platform stores it: numbers, then texts at any place.
    Function Get-Stored {
        param ([string]$Text, [int]$Before)
        $bytes = [byte[]](@(7) * $Before) + [System.Text.Encoding]::Unicode.GetBytes([string][char]0 + $Text + [char]0 + 'x')
        , [byte[]]$bytes
    }
}

AfterAll {
    Remove-Variable -Name Loaded -Scope Global
}

Describe 'minifilters' {
    BeforeEach {
        $global:Loaded = $null
    }

    AfterEach {
        Get-FakeOpenKey | Should -Be 0 -Because 'every key that was opened must be disposed'
        Remove-Variable -Name FakeRegistry -Scope Global
    }

    It 'reports the instances of a service with their altitude' {
        Initialize-FakeRegistry -Machine64 @{
            "$services\klif.KES-21-16\Instances\klif" = @{ Altitude = '320400'; Flags = 0 }
            "$services\klif.KES-21-16\Instances\second" = @{ Altitude = '320401' }
            "$services\WdFilter\Instances\WdFilter Instance" = @{ Altitude = '328010' }
            "$services\klifless" = @{ Type = 1 }
        }
        $answer = Invoke-Filter -Read Read-ObserveMinifilter -Literal @('klif')
        $answer.status | Should -Be 'ok'
        @($answer.records | ForEach-Object { '{0} {1} {2} {3}' -f $_.name, $_.altitude, $_.instance, $_.state }) | Should -Be @(
            'klif.KES-21-16 320400 klif registered', 'klif.KES-21-16 320401 second registered'
        )
    }

    It 'finds instances below Parameters' {
        Initialize-FakeRegistry -Machine64 @{ "$services\klif\Parameters\Instances\a" = @{ Altitude = '320400' } }
        (Invoke-Filter -Read Read-ObserveMinifilter -Literal @('klif')).records[0].altitude | Should -Be '320400'
    }

    It 'says what is loaded, registered or not' {
        $global:Loaded = @{ 'KLIF.KES-21-16' = '320400'; 'klhidden' = '1.5'; 'other' = '2' }
        Initialize-FakeRegistry -Machine64 @{ "$services\klif.KES-21-16\Instances\klif" = @{ Altitude = '320400' } }
        $answer = Invoke-Filter -Read Read-ObserveMinifilter -Literal @('klif', 'klhidden')
        @($answer.records | ForEach-Object { '{0} {1} {2}' -f $_.name, $_.altitude, $_.state }) | Should -Be @(
            'klif.KES-21-16 320400 loaded', 'klhidden 1.5 loaded'
        )
    }

    It 'is absent without a hit, and unknown without a list of services or with one that is closed' {
        Initialize-FakeRegistry -Machine64 @{ "$services\WdFilter\Instances\x" = @{ Altitude = '1' } }
        (Invoke-Filter -Read Read-ObserveMinifilter -Literal @('klif')).status | Should -Be 'absent'
        Initialize-FakeRegistry
        (Invoke-Filter -Read Read-ObserveMinifilter -Literal @('klif')).status | Should -Be 'unknown'
        Initialize-FakeRegistry -Machine64 @{ "$services\klif\Instances" = 'denied:list' }
        (Invoke-Filter -Read Read-ObserveMinifilter -Literal @('klif')).reason | Should -Be "HKLM\$services\klif\Instances: access denied"
    }
}

Describe 'class_filters' {
    It 'finds a name in the lists of a class, upper and lower' {
        Initialize-FakeRegistry -Machine64 @{
            "$class\{4D36E96F-E325-11CE-BFC1-08002BE10318}" = @{ Class = 'Mouse'; UpperFilters = [string[]]@('klmouflt.K4W-21-25', 'mouclass') }
            "$class\{4D36E96B-E325-11CE-BFC1-08002BE10318}" = @{ Class = 'Keyboard'; UpperFilters = [string[]]@('kbdclass'); LowerFilters = 'KLKBDFLT' }
            "$class\{4D36E967-E325-11CE-BFC1-08002BE10318}" = @{ Class = 'DiskDrive'; UpperFilters = 5 }
        }
        $answer = Invoke-Filter -Read Read-ObserveClassFilter -Literal @('klmouflt', 'klkbdflt')
        $answer.status | Should -Be 'ok'
        @($answer.records | ForEach-Object { '{0} {1} {2}' -f $_.class_name, $_.filter, $_.position } | Sort-Object) | Should -Be @(
            'Keyboard KLKBDFLT lower', 'Mouse klmouflt.K4W-21-25 upper'
        )
        Get-FakeOpenKey | Should -Be 0
    }

    It 'names a class that is closed, and takes no missing list for an empty one' {
        Initialize-FakeRegistry -Machine64 @{ "$class\{1}" = 'denied:open' }
        (Invoke-Filter -Read Read-ObserveClassFilter -Literal @('kl')).reason | Should -Be "HKLM\$class\{1}: access denied"
        Initialize-FakeRegistry
        (Invoke-Filter -Read Read-ObserveClassFilter -Literal @('kl')).status | Should -Be 'unknown'
    }
}

Describe 'network' {
    It 'finds filters, protocols and adapters by id, name or service' {
        Initialize-FakeRegistry -Machine64 @{
            "$network\{4D36E974-E325-11CE-BFC1-08002BE10318}\{A}" = @{ ComponentId = 'kl_klim6'; Description = 'Kaspersky Anti-Virus NDIS 6 Filter' }
            "$network\{4D36E974-E325-11CE-BFC1-08002BE10318}\{A}\Ndi" = @{ Service = 'klim6' }
            "$network\{4D36E974-E325-11CE-BFC1-08002BE10318}\{B}" = @{ ComponentId = 'ms_pacer' }
            "$network\{4D36E975-E325-11CE-BFC1-08002BE10318}\{C}" = @{ ComponentId = 'x' }
            "$network\{4D36E975-E325-11CE-BFC1-08002BE10318}\{C}\Ndi" = @{ Service = 'KLIM5' }
            "$class\{4D36E972-E325-11CE-BFC1-08002BE10318}\0003" = @{ ComponentId = 'kltap'; DriverDesc = 'VPN adapter' }
            "$class\{4D36E972-E325-11CE-BFC1-08002BE10318}\Properties" = 'denied:open'
        }
        $answer = Invoke-Filter -Read Read-ObserveNetwork -Literal @('klim', 'kltap')
        $answer.reason | Should -Be ''
        @($answer.records | ForEach-Object { '{0} {1} {2}|{3}' -f $_.kind, $_.id, $_.service, $_.name } | Sort-Object) | Should -Be @(
            'ndis kltap |VPN adapter', 'ndis kl_klim6 klim6|Kaspersky Anti-Virus NDIS 6 Filter', 'protocol x KLIM5|' | Sort-Object
        )
        Get-FakeOpenKey | Should -Be 0
    }

    It 'finds stored objects of the filtering platform by the text in their bytes' {
        Initialize-FakeRegistry -Machine64 @{
            "$policy\Provider" = @{ '{P}' = (Get-Stored -Text 'Kaspersky provider' -Before 4); '{Q}' = (Get-Stored -Text 'Other' -Before 4) }
            "$policy\Callout" = @{ '{C}' = (Get-Stored -Text 'klwfp callout' -Before 5); 'number' = 7; 'empty' = [byte[]]@() }
        }
        $answer = Invoke-Filter -Read Read-ObserveNetwork -Literal @('kaspersky', 'klwfp')
        @($answer.records | ForEach-Object { '{0} {1} {2}' -f $_.kind, $_.id, $_.name }) | Should -Be @(
            'wfp {P} Kaspersky provider', 'wfp {C} klwfp callout'
        )
    }

    It 'is absent without any of the keys, unknown when one is closed' {
        Initialize-FakeRegistry
        (Invoke-Filter -Read Read-ObserveNetwork -Literal @('klim')).status | Should -Be 'absent'
        Initialize-FakeRegistry -Machine64 @{ "$policy\Provider" = 'denied:values' }
        (Invoke-Filter -Read Read-ObserveNetwork -Literal @('klim')).reason | Should -Be "HKLM\$policy\Provider: access denied"
    }
}
