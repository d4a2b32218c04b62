# SPDX-License-Identifier: GPL-3.0-or-later

BeforeAll {
    $utils = Join-Path -Path $PSScriptRoot -ChildPath '../../../plugins/module_utils'
    Import-Module -Name (Join-Path -Path $utils -ChildPath '_observe_core.psm1') -Force -Global
    $high = [string][char]0xD83D
    $low = [string][char]0xDE00
}

Describe 'ConvertTo-ObserveText' {
    It 'gives a plain string for <label>' -ForEach @(
        @{ label = 'nothing'; value = $null; text = '' }
        @{ label = 'a number'; value = 467; text = '467' }
        @{ label = 'a negative number'; value = -1; text = '-1' }
        @{ label = 'a list'; value = [string[]]@('a', 'b'); text = 'a; b' }
        @{ label = 'a list of one'; value = [string[]]@('a'); text = 'a' }
        @{ label = 'UTF-16 bytes'; value = [byte[]]@(0x41, 0, 0x42, 0, 0, 0); text = 'AB' }
        @{ label = 'NULs'; value = "a$([char]0)b$([char]0)"; text = 'ab' }
    ) {
        $result = ConvertTo-ObserveText -Value $value
        $result | Should -BeExactly $text
        $result.GetType().FullName | Should -Be 'System.String'
    }

    It 'cuts at 1024 characters' {
        (ConvertTo-ObserveText -Value ('x' * 5000)).Length | Should -Be 1024
        (ConvertTo-ObserveText -Value ('x' * 1024)).Length | Should -Be 1024
    }

    It 'does not cut a surrogate pair in two' {
        $result = ConvertTo-ObserveText -Value (('x' * 1023) + $high + $low + 'y')
        $result | Should -BeExactly ('x' * 1023)
    }

    It 'keeps whole pairs, Cyrillic and CJK' {
        $text = $high + $low + [char]0x041A + [char]0x7F51
        ConvertTo-ObserveText -Value $text | Should -BeExactly $text
    }

    It 'replaces half a pair' {
        ConvertTo-ObserveText -Value ('a' + $high + 'b' + $low) | Should -BeExactly ('a' + [char]0xFFFD + 'b' + [char]0xFFFD)
    }
}

Describe 'the filter' {
    It 'matches whatever the case, Latin and Cyrillic' {
        $filter = New-ObserveFilter -Literal @('kaspersky', ([string][char]0x043A + [char]0x0430 + [char]0x0441))
        Test-ObserveFilter -Filter $filter -Text @('', 'AO KASPERSKY Lab') | Should -BeTrue
        Test-ObserveFilter -Filter $filter -Text @(([string][char]0x041A + [char]0x0410 + [char]0x0421)) | Should -BeTrue
        Test-ObserveFilter -Filter $filter -Text @('Kaspers', 'ky') | Should -BeFalse
    }

    It 'takes the literal as it is, not as an expression' {
        $filter = New-ObserveFilter -Literal @('{A.B}', '[x]')
        Test-ObserveFilter -Filter $filter -Text @('{aXb}', 'x') | Should -BeFalse
        Test-ObserveFilter -Filter $filter -Text @('MsiExec /X{a.b}') | Should -BeTrue
    }

    It 'matches nothing without literals' {
        $filter = New-ObserveFilter -Literal @()
        Test-ObserveFilter -Filter $filter -Text @('anything') | Should -BeFalse
    }
}

Describe 'a probe' {
    It 'is absent when it looked and found nothing' {
        $answer = Invoke-ObserveProbe -Timeout 5 -Script { param ($probe) $null = $probe }
        $answer.status | Should -Be 'absent'
        $answer.reason | Should -Be ''
        , $answer.records | Should -BeOfType [System.Collections.IList]
        $answer.records.Count | Should -Be 0
    }

    It 'is ok with records, and one record stays a list of one' {
        $answer = Invoke-ObserveProbe -Timeout 5 -Script { param ($probe) Add-ObserveRecord -Probe $probe -Record @{ name = 1 } }
        $answer.status | Should -Be 'ok'
        ConvertTo-Json -InputObject $answer.records -Compress | Should -BeExactly '[{"name":"1"}]'
    }

    It 'is unknown with a problem, and keeps its records' {
        $answer = Invoke-ObserveProbe -Timeout 5 -Script {
            param ($probe)
            Add-ObserveRecord -Probe $probe -Record @{ name = 'a' }
            Add-ObserveProblem -Probe $probe -Problem 'HKLM\X: access denied'
            Add-ObserveProblem -Probe $probe -Problem 'HKLM\X: access denied'
        }
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -Be 'HKLM\X: access denied'
        $answer.records.Count | Should -Be 1
    }

    It 'is unknown when something breaks, with the reason first' {
        $answer = Invoke-ObserveProbe -Timeout 5 -Script {
            param ($probe)
            Add-ObserveProblem -Probe $probe -Problem 'second'
            $null = [int]::Parse('x')
        }
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -Match '^FormatException: .+; second$'
    }

    It 'stops at 2,000 records' {
        $answer = Invoke-ObserveProbe -Timeout 30 -Script {
            param ($probe)
            foreach ($number in 1..2100) { Add-ObserveRecord -Probe $probe -Record @{ name = $number } }
        }
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -Be 'more than 2000 records'
        $answer.records.Count | Should -Be 2000
    }

    It 'stops when its time is over' {
        $answer = Invoke-ObserveProbe -Timeout 1 -Script {
            param ($probe)
            Add-ObserveRecord -Probe $probe -Record @{ name = 'a' }
            while ($true) { Start-Sleep -Milliseconds 100; Assert-ObserveTime -Probe $probe }
        }
        $answer.status | Should -Be 'unknown'
        $answer.reason | Should -Be 'took longer than 1 s'
        $answer.records.Count | Should -Be 1
    }

    It 'names twelve problems and counts the rest' {
        $answer = Invoke-ObserveProbe -Timeout 5 -Script {
            param ($probe)
            foreach ($number in 1..20) { Add-ObserveProblem -Probe $probe -Problem "p$number" }
        }
        $answer.reason | Should -Match '^p1; .*; p12; and 8 more$'
    }
}
