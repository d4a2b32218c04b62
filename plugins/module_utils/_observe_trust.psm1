# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection; may change without notice.
# Certificates for win_observe: the stores of the machine, of policies, of the directory and of each loaded user, as the
# registry has them; .NET's own view of the machine's stores is the second source. Private keys are never touched.

#AnsibleRequires -PowerShell ..module_utils._observe_core
#AnsibleRequires -PowerShell ..module_utils._observe_registry
#AnsibleRequires -PowerShell ..module_utils._observe_hives

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

# The property of a stored certificate that holds the certificate itself.
$script:CertificateProperty = 32
$script:MachineStores = @(
    @{ hive = 'machine'; path = 'SOFTWARE\Microsoft\SystemCertificates' }
    @{ hive = 'policy'; path = 'SOFTWARE\Policies\Microsoft\SystemCertificates' }
    @{ hive = 'policy'; path = 'SOFTWARE\Microsoft\EnterpriseCertificates' }
)
$script:UserStores = @('Software\Microsoft\SystemCertificates', 'Software\Policies\Microsoft\SystemCertificates')
$script:StoreNames = @('Root', 'CertificateAuthority', 'AuthRoot', 'TrustedPublisher', 'TrustedPeople', 'Disallowed', 'My')

Function Get-ObserveCertificateData {
    <#
    .SYNOPSIS
    The certificate in a stored value: a row of properties, each with number, a reserved field and length; $null when there
    is none.
    #>
    [OutputType([byte[]])]
    param ([AllowNull()][AllowEmptyCollection()][byte[]]$Blob)

    $place = 0
    while ($null -ne $Blob -and $place + 12 -le $Blob.Length) {
        $property = [System.BitConverter]::ToUInt32($Blob, $place)
        $length = [System.BitConverter]::ToUInt32($Blob, $place + 8)
        $place += 12
        if ($length -gt $Blob.Length - $place) {
            return $null
        }
        if ($property -eq $script:CertificateProperty) {
            $data = New-Object -TypeName 'byte[]' -ArgumentList ([int]$length)
            [System.Array]::Copy($Blob, $place, $data, 0, [int]$length)
            return , $data
        }
        $place += [int]$length
    }
    $null
}

Function Test-ObserveBinary {
    <#
    .SYNOPSIS
    May the bytes hold one of the literals in any spelling that a certificate knows?
    #>
    [OutputType([bool])]
    param (
        [AllowNull()][AllowEmptyCollection()][byte[]]$Data,
        [AllowEmptyCollection()][object[]]$Literal
    )

    if ($null -eq $Data -or $Data.Length -eq 0) {
        return $false
    }
    $words = @(foreach ($one in $Literal) { Get-ObserveHiveWord -Literal $one -Certificate })
    if ($words -contains '') {
        return $true
    }
    $filter = New-ObserveFilter -Literal $words
    $odd = [Math]::Max(0, $Data.Length - 1)
    $texts = @(
        [System.Text.Encoding]::UTF8.GetString($Data)
        [System.Text.Encoding]::GetEncoding(28591).GetString($Data)
        [System.Text.Encoding]::BigEndianUnicode.GetString($Data)
        [System.Text.Encoding]::BigEndianUnicode.GetString($Data, $Data.Length - $odd, $odd)
    )
    Test-ObserveFilter -Filter $filter -Text $texts
}

Function Add-ObserveCertificate {
    <#
    .SYNOPSIS
    A record for a certificate whose subject or issuer holds a literal.
    #>
    param (
        [hashtable]$Probe,
        [System.Security.Cryptography.X509Certificates.X509Certificate2]$Certificate,
        [hashtable]$Context
    )

    if (-not (Test-ObserveFilter -Filter $Context.filter -Text @($Certificate.Subject, $Certificate.Issuer))) {
        return
    }
    $mark = '{0}|{1}|{2}|{3}' -f $Context.hive, $Context.sid, $Context.store, $Certificate.Thumbprint
    if ($Context.seen.ContainsKey($mark.ToLowerInvariant())) {
        return
    }
    $Context.seen[$mark.ToLowerInvariant()] = $true
    Add-ObserveRecord -Probe $Probe -Record @{
        store = $Context.store
        hive = $Context.hive
        sid = $Context.sid
        subject = $Certificate.Subject
        issuer = $Certificate.Issuer
        thumbprint = $Certificate.Thumbprint
        expires = $Certificate.NotAfter.ToUniversalTime().ToString('yyyy-MM-dd')
    }
}

$script:ReadCertificate = {
    param ($Probe, $Key, $Label, $Context)

    $blob = Get-ObserveValue -Key $Key -Name 'Blob'
    if ($blob -isnot [byte[]]) {
        return
    }
    $certificate = $null
    try {
        $data = Get-ObserveCertificateData -Blob $blob
        if ($null -ne $data) {
            $type = [System.Security.Cryptography.X509Certificates.X509Certificate2]
            $certificate = New-Object -TypeName $type.FullName -ArgumentList @(, $data)
        }
    }
    catch {
        # Damaged: it matters only when it may be one that is looked for.
        if (Test-ObserveBinary -Data $blob -Literal $Context.literal) {
            Add-ObserveProblem -Probe $Probe -Problem ('{0}: not a readable certificate' -f $Label)
        }
        return
    }
    if ($null -eq $certificate) {
        return
    }
    try {
        Add-ObserveCertificate -Probe $Probe -Certificate $certificate -Context $Context
    }
    finally {
        # Not Dispose: .NET before 4.6 has none here.
        $certificate.Reset()
    }
}

$script:ReadStores = {
    param ($Probe, $Key, $Label, $Context)

    Read-ObserveChildKey -Probe $Probe -Key $Key -Label $Label -Context $Context -Script {
        param ($Probe, $Key, $Label, $Context)

        $one = $Context.Clone()
        $one.store = $Context.name
        Use-ObserveSubKey -Probe $Probe -Key $Key -Name 'Certificates' -Label "$Label\Certificates" -Context $one -Script {
            param ($Probe, $Key, $Label, $Context)

            Read-ObserveChildKey -Probe $Probe -Key $Key -Label $Label -Context $Context -Script $script:ReadCertificate
        }
    }
}

Function Read-ObserveSystemStore {
    <#
    .SYNOPSIS
    The machine's stores as .NET has them. Returns whether all could be read.
    #>
    [OutputType([bool])]
    param (
        [hashtable]$Probe,
        [hashtable]$Context
    )

    $names = @{ Root = 'ROOT'; CertificateAuthority = 'CA' }
    foreach ($name in $script:StoreNames) {
        Assert-ObserveTime -Probe $Probe
        try {
            $store = New-Object -TypeName System.Security.Cryptography.X509Certificates.X509Store -ArgumentList @(
                [System.Security.Cryptography.X509Certificates.StoreName]$name
                [System.Security.Cryptography.X509Certificates.StoreLocation]::LocalMachine
            )
            $store.Open([System.Security.Cryptography.X509Certificates.OpenFlags]::ReadOnly)
            try {
                $one = $Context.Clone()
                $one.store = if ($names.ContainsKey($name)) { $names[$name] } else { $name }
                foreach ($certificate in $store.Certificates) {
                    Add-ObserveCertificate -Probe $Probe -Certificate $certificate -Context $one
                }
            }
            finally {
                $store.Close()
            }
        }
        catch {
            if ($Probe.ended) {
                throw
            }
            return $false
        }
    }
    $true
}

Function Read-ObserveCertificate {
    <#
    .SYNOPSIS
    Probe certificates: those whose subject or issuer holds a literal, in every store.
    #>
    param (
        [hashtable]$Probe,
        [AllowEmptyCollection()][object[]]$Literal
    )

    $filter = New-ObserveFilter -Literal $Literal
    if ($null -eq $filter) {
        return
    }
    $users = Open-ObserveBaseKey -Hive Users -View 64
    try {
        $loaded = @(Get-ObserveHive -Users $users)
        Add-ObserveUnloadedHive -Probe $Probe -Loaded $loaded -Literal $Literal -Certificate
        $context = @{ filter = $filter; literal = $Literal; seen = @{}; store = ''; hive = 'machine'; sid = '' }
        $earlier = $Probe.problems.Count
        foreach ($place in $script:MachineStores) {
            $one = $context.Clone()
            $one.hive = $place.hive
            Read-ObserveMachineKey -Probe $Probe -Path $place.path -Context $one -Script $script:ReadStores
        }
        if ($Probe.problems.Count -gt $earlier -and (Read-ObserveSystemStore -Probe $Probe -Context $context)) {
            # What the registry kept to itself the system's own view of all stores has told.
            $Probe.problems.RemoveRange($earlier, $Probe.problems.Count - $earlier)
        }
        foreach ($sid in $loaded) {
            $one = $context.Clone()
            $one.hive = 'user'
            $one.sid = $sid
            foreach ($path in $script:UserStores) {
                $name = "$sid\$path"
                Use-ObserveSubKey -Probe $Probe -Key $users -Name $name -Label "HKU\$name" -Script $script:ReadStores -Context $one
            }
        }
    }
    finally {
        $users.Dispose()
    }
}

Export-ModuleMember -Function @(
    'Get-ObserveCertificateData'
    'Read-ObserveCertificate'
    'Read-ObserveSystemStore'
    'Test-ObserveBinary'
)
