# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection; may change without notice.
# Who this Windows is, for win_observe: from the registry and .NET, without CIM.

#AnsibleRequires -PowerShell ..module_utils._observe_core
#AnsibleRequires -PowerShell ..module_utils._observe_registry

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

Function Get-ObserveIdentity {
    <#
    .SYNOPSIS
    The account of this session and whether it may do everything: name, and yes, no or unknown.
    #>
    [OutputType([hashtable])]
    param ()

    $found = @{
        user = '{0}\{1}' -f [System.Environment]::UserDomainName, [System.Environment]::UserName
        elevated = 'unknown'
    }
    try {
        $identity = [System.Security.Principal.WindowsIdentity]::GetCurrent()
        try {
            $found.user = $identity.Name
            $principal = New-Object -TypeName System.Security.Principal.WindowsPrincipal -ArgumentList $identity
            $isAdministrator = $principal.IsInRole([System.Security.Principal.WindowsBuiltInRole]::Administrator)
            $found.elevated = if ($isAdministrator) { 'yes' } else { 'no' }
        }
        finally {
            $identity.Dispose()
        }
    }
    catch {
        # The account's name alone, from the session.
        $found.elevated = 'unknown'
    }
    $found
}

Function Get-ObserveHostName {
    <#
    .SYNOPSIS
    The host name without its domain, in full length (the NetBIOS name ends after 15 characters).
    #>
    [OutputType([string])]
    param ()

    try {
        [System.Net.Dns]::GetHostName()
    }
    catch {
        [System.Environment]::MachineName
    }
}

Function Read-ObserveHost {
    <#
    .SYNOPSIS
    Probe host: one record, also when part of it cannot be told.
    #>
    param ([hashtable]$Probe)

    $sources = @{
        'SOFTWARE\Microsoft\Windows NT\CurrentVersion' = @(
            'ProductName'
            'InstallationType'
            'CurrentMajorVersionNumber'
            'CurrentMinorVersionNumber'
            'CurrentVersion'
            'CurrentBuild'
            'UBR'
        )
        'SYSTEM\CurrentControlSet\Control\ProductOptions' = @('ProductType')
        'SYSTEM\CurrentControlSet\Control\Session Manager\Environment' = @('PROCESSOR_ARCHITECTURE')
        'SYSTEM\CurrentControlSet\Control' = @('ContainerType')
        'SOFTWARE\Microsoft\Cryptography' = @('MachineGuid')
    }
    $value = @{}
    foreach ($path in @($sources.Keys)) {
        foreach ($name in $sources[$path]) {
            $value[$name] = ''
        }
        try {
            $found = Get-ObserveMachineValue -Path $path -Name $sources[$path]
            foreach ($name in @($found.Keys)) {
                $value[$name] = $found[$name]
            }
        }
        catch {
            $why = Get-ObserveReason -Exception $_.Exception
            Add-ObserveProblem -Probe $Probe -Problem ('HKLM\{0}: {1}' -f $path, $why)
        }
    }

    $build = $value.CurrentBuild
    $version = [System.Environment]::OSVersion.Version.ToString()
    if ($value.CurrentMajorVersionNumber -and $build) {
        $version = '{0}.{1}.{2}' -f $value.CurrentMajorVersionNumber, $value.CurrentMinorVersionNumber, $build
    }
    elseif ($value.CurrentVersion -and $build) {
        # Before Windows 10.
        $version = '{0}.{1}' -f $value.CurrentVersion, $build
    }
    $name = $value.ProductName
    $number = 0
    if ([int]::TryParse($build, [ref]$number) -and $number -ge 22000) {
        # Windows 11 still writes "Windows 10" there.
        $name = $name -replace '^Windows 10\b', 'Windows 11'
    }

    $types = @{ WinNT = 'workstation'; ServerNT = 'server'; LanmanNT = 'domain_controller' }
    $productType = ''
    if ($types.ContainsKey($value.ProductType)) {
        $productType = $types[$value.ProductType]
    }
    elseif ($value.InstallationType) {
        $productType = if ($value.InstallationType -eq 'Client') { 'workstation' } else { 'server' }
    }

    $arch = $value.PROCESSOR_ARCHITECTURE
    if (-not $arch) {
        foreach ($variable in @('PROCESSOR_ARCHITEW6432', 'PROCESSOR_ARCHITECTURE')) {
            if (-not $arch) {
                $arch = [System.Environment]::GetEnvironmentVariable($variable)
            }
        }
    }
    $archNames = @{ AMD64 = 'x86_64'; ARM64 = 'arm64'; x86 = 'x86' }
    if ($arch -and $archNames.ContainsKey($arch)) {
        $arch = $archNames[$arch]
    }

    if (-not $value.MachineGuid) {
        Add-ObserveProblem -Probe $Probe -Problem 'no MachineGuid in HKLM\SOFTWARE\Microsoft\Cryptography'
    }
    $identity = Get-ObserveIdentity
    Add-ObserveRecord -Probe $Probe -Record @{
        os_name = $name
        os_version = $version
        os_build = if ($value.UBR) { '{0}.{1}' -f $build, $value.UBR } else { $build }
        product_type = $productType
        arch = $arch
        hostname = Get-ObserveHostName
        machine_id = $value.MachineGuid
        user = $identity.user
        elevated = $identity.elevated
        powershell = $PSVersionTable.PSVersion.ToString()
        container = if ($value.ContainerType) { 'other' } else { '' }
    }
}

Export-ModuleMember -Function @(
    'Get-ObserveHostName'
    'Get-ObserveIdentity'
    'Read-ObserveHost'
)
