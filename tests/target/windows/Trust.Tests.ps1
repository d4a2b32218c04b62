# SPDX-License-Identifier: GPL-3.0-or-later

BeforeAll {
    $utils = Join-Path -Path $PSScriptRoot -ChildPath '../../../plugins/module_utils'
    foreach ($name in @('_observe_core', '_observe_registry', '_observe_files', '_observe_hives', '_observe_trust')) {
        Import-Module -Name (Join-Path -Path $utils -ChildPath "$name.psm1") -Force -Global
    }
    . (Join-Path -Path $PSScriptRoot -ChildPath 'FakeRegistry.ps1')
    foreach ($module in @('_observe_registry', '_observe_hives', '_observe_trust')) {
        Mock -CommandName Open-ObserveBaseKey -ModuleName $module -MockWith { Open-FakeBaseKey -Hive $Hive -View $View }
    }
    Mock -CommandName Add-ObserveUnloadedHive -ModuleName _observe_trust -MockWith { }
    $stores = 'SOFTWARE\Microsoft\SystemCertificates'
    $sid = 'S-1-5-21-1-2-3-1001'

    # Made for this run; nothing of it is kept.
    Function Get-Fresh {
        param ([string]$Subject)
        $key = [System.Security.Cryptography.RSA]::Create(2048)
        $request = New-Object -TypeName System.Security.Cryptography.X509Certificates.CertificateRequest -ArgumentList @(
            $Subject, $key, [System.Security.Cryptography.HashAlgorithmName]::SHA256, [System.Security.Cryptography.RSASignaturePadding]::Pkcs1
        )
        $request.CreateSelfSigned([System.DateTimeOffset]::UtcNow.AddDays(-1), [System.DateTimeOffset]'2031-02-03T00:00:00Z')
    }
    # As the registry stores it: a property with the thumbprint, then the certificate.
    Function Get-Blob {
        param ([byte[]]$Data, [int]$Property = 32, [int]$Length = $Data.Length)
        $bytes = New-Object -TypeName System.IO.MemoryStream
        foreach ($number in @(3, 1, 4, 99, $Property, 1, $Length)) { $bytes.Write([System.BitConverter]::GetBytes([int]$number), 0, 4) }
        $bytes.Write($Data, 0, $Data.Length)
        , $bytes.ToArray()
    }
    Function Invoke-Certificate {
        param ([string[]]$Literal = @('kaspersky'))
        Invoke-ObserveProbe -Timeout 60 -Script { param ($probe) Read-ObserveCertificate -Probe $probe -Literal $Literal }
    }
    $root = Get-Fresh -Subject 'CN=Kaspersky Anti-Virus Personal Root Certificate, O=AO Kaspersky Lab'
    $other = Get-Fresh -Subject 'CN=Another Root, O=Somebody'
}

Describe 'certificates' {
    AfterEach {
        Get-FakeOpenKey | Should -Be 0 -Because 'every key that was opened must be disposed'
        Remove-Variable -Name FakeRegistry -Scope Global
    }

    It 'finds the vendor''s in stores of the machine, of policies and of users' {
        $blob = Get-Blob -Data $root.RawData
        Initialize-FakeRegistry -Machine64 @{
            "$stores\ROOT\Certificates\$($root.Thumbprint)" = @{ Blob = $blob }
            "$stores\ROOT\Certificates\$($other.Thumbprint)" = @{ Blob = (Get-Blob -Data $other.RawData) }
            "$stores\My" = @{}
            "SOFTWARE\Policies\Microsoft\SystemCertificates\CA\Certificates\1" = @{ Blob = $blob }
            "SOFTWARE\Microsoft\EnterpriseCertificates\Root\Certificates\1" = @{ Blob = $blob }
        } -Users @{ "$sid\Software\Microsoft\SystemCertificates\ROOT\Certificates\1" = @{ Blob = $blob } }
        $answer = Invoke-Certificate
        $answer.status | Should -Be 'ok'
        @($answer.records | ForEach-Object { '{0} {1} {2}' -f $_.hive, $_.store, $_.sid }) | Should -Be @(
            'machine ROOT ', 'policy CA ', 'policy Root ', "user ROOT $sid"
        )
        $record = $answer.records[0]
        $record.subject | Should -Be 'CN=Kaspersky Anti-Virus Personal Root Certificate, O=AO Kaspersky Lab'
        $record.thumbprint | Should -Be $root.Thumbprint
        $record.expires | Should -Be '2031-02-03'
    }

    It 'is absent when all stores were read' {
        Initialize-FakeRegistry -Machine64 @{ "$stores\ROOT\Certificates\1" = @{ Blob = (Get-Blob -Data $other.RawData) } }
        (Invoke-Certificate).status | Should -Be 'absent'
    }

    It 'is not stopped by <label>' -ForEach @(
        @{ label = 'a damaged certificate of somebody else'; bytes = @(1, 2, 3, 4); status = 'absent' }
        @{ label = 'a damaged one that names the vendor'; bytes = [System.Text.Encoding]::ASCII.GetBytes('xx Kaspersky'); status = 'unknown' }
        @{ label = 'a damaged one that names it in UTF-16'; bytes = [System.Text.Encoding]::BigEndianUnicode.GetBytes('Kaspersky'); status = 'unknown' }
    ) {
        Initialize-FakeRegistry -Machine64 @{
            "$stores\ROOT\Certificates\1" = @{ Blob = (Get-Blob -Data ([byte[]]$bytes)) }
            "$stores\ROOT\Certificates\2" = @{ Blob = 'text' }
            "$stores\ROOT\Certificates\3" = @{ Blob = (Get-Blob -Data ([byte[]]@(1)) -Length 2000000000) }
            "$stores\ROOT\Certificates\4" = @{}
        }
        Mock -CommandName Read-ObserveSystemStore -ModuleName _observe_trust -MockWith { $false }
        (Invoke-Certificate).status | Should -Be $status
    }

    It 'asks the system when the registry is closed' {
        Initialize-FakeRegistry -Machine64 @{ $stores = 'denied:list' }
        Mock -CommandName Read-ObserveSystemStore -ModuleName _observe_trust -MockWith { $true }
        (Invoke-Certificate).status | Should -Be 'absent'
        Mock -CommandName Read-ObserveSystemStore -ModuleName _observe_trust -MockWith { $false }
        (Invoke-Certificate).reason | Should -Be "HKLM\${stores}: access denied"
    }

    It 'names a user''s store that is closed, whatever the system says' {
        Initialize-FakeRegistry -Users @{ "$sid\Software\Microsoft\SystemCertificates\ROOT" = 'denied:open' }
        Mock -CommandName Read-ObserveSystemStore -ModuleName _observe_trust -MockWith { $true }
        (Invoke-Certificate).reason | Should -Be "HKU\$sid\Software\Microsoft\SystemCertificates\ROOT: access denied"
    }

    It 'looks into the files of hives that are not loaded' {
        Initialize-FakeRegistry -Users @{ "$sid\Software" = @{} }
        $null = Invoke-Certificate
        Should -Invoke -CommandName Add-ObserveUnloadedHive -ModuleName _observe_trust -Times 1 -Exactly -ParameterFilter {
            $Certificate -and $Loaded -contains $sid -and $Literal -contains 'kaspersky'
        }
    }
}
