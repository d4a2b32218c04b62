# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection; may change without notice.
# What a reader should know of a host, for win_observe: is a restart pending, are volumes encrypted, which roles does it have,
# who is signed in. Context only.

#AnsibleRequires -CSharpUtil ..module_utils._ObserveNative
#AnsibleRequires -PowerShell ..module_utils._observe_core
#AnsibleRequires -PowerShell ..module_utils._observe_registry
#AnsibleRequires -PowerShell ..module_utils._observe_hives
#AnsibleRequires -PowerShell ..module_utils._observe_cim

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$script:ServicesKey = 'SYSTEM\CurrentControlSet\Services'
$script:Control = 'SYSTEM\CurrentControlSet\Control'
$script:Windows = 'SOFTWARE\Microsoft\Windows\CurrentVersion'
# So many paths of pending renames are named.
$script:MaxPaths = 3
# A key that is there only while a restart is pending -> cause.
$script:RebootKeys = @(
    @{ cause = 'component_servicing'; key = "$script:Windows\Component Based Servicing\RebootPending" }
    @{ cause = 'component_servicing'; key = "$script:Windows\Component Based Servicing\RebootInProgress" }
    @{ cause = 'component_servicing'; key = "$script:Windows\Component Based Servicing\PackagesPending" }
    @{ cause = 'windows_update'; key = "$script:Windows\WindowsUpdate\Auto Update\RebootRequired" }
    @{ cause = 'windows_update'; key = "$script:Windows\WindowsUpdate\Auto Update\PostRebootReporting" }
    @{ cause = 'installer'; key = "$script:Windows\Installer\InProgress" }
    @{ cause = 'server_roles'; key = 'SOFTWARE\Microsoft\ServerManager\CurrentRebootAttempts' }
    @{ cause = 'configuration_manager'; key = 'SOFTWARE\Microsoft\SMS\Mobile Client\Reboot Management\RebootData' }
)
# A value that is there (and not 0) only then.
$script:RebootValues = @(
    @{ cause = 'installer'; key = 'SOFTWARE\Microsoft\Updates'; value = 'UpdateExeVolatile' }
    @{ cause = 'domain_join'; key = "$script:ServicesKey\Netlogon"; value = 'JoinDomain' }
    @{ cause = 'domain_join'; key = "$script:ServicesKey\Netlogon"; value = 'AvoidSpnSet' }
    @{ cause = 'run_once'; key = "$script:Windows\RunOnce"; value = 'DVDRebootSignal' }
)
# Services that make a role (regex on the name) -> role.
$script:RoleServices = @(
    @{ role = 'domain_controller'; name = '^NTDS$' }
    @{ role = 'exchange'; name = '^MSExchange(IS|Transport|ADTopology)$' }
    @{ role = 'sharepoint'; name = '^SPTimerV\d+$' }
    @{ role = 'sql'; name = '^MSSQL(SERVER|\$.+)$' }
    @{ role = 'hyper_v'; name = '^vmms$' }
    @{ role = 'cluster'; name = '^ClusSvc$' }
    @{ role = 'rds'; name = '^(Tssdis|TSGateway|TermServLicensing)$' }
    @{ role = 'vdi'; name = '^(BrokerAgent|WSNM|RDAgentBootLoader)$' }
    @{ role = 'iis'; name = '^W3SVC$' }
    @{ role = 'ksc_server'; name = '^kladminserver(_srv)?$' }
)
$script:ServerFeatures = 'SOFTWARE\Microsoft\ServerManager\ServicingStorage\ServerComponentCache'
# Drivers of encryption that asks before Windows starts.
$script:PreBoot = @{ veracrypt = 'VeraCrypt'; PGPwded = 'Symantec Encryption'; MfeEpePc = 'Trellix Drive Encryption' }
$script:ProtectionWords = @{ 0 = 'off'; 1 = 'on'; 2 = 'locked' }
$script:EncryptionMethods = @{
    1 = 'AES 128 diffuser'
    2 = 'AES 256 diffuser'
    3 = 'AES 128'
    4 = 'AES 256'
    5 = 'hardware'
    6 = 'XTS AES 128'
    7 = 'XTS AES 256'
}

Function Read-ObserveReboot {
    <#
    .SYNOPSIS
    Probe reboot: each cause for a pending restart, with what shows it.
    #>
    param ([hashtable]$Probe)

    foreach ($one in $script:RebootKeys) {
        $context = @{ cause = $one.cause }
        Read-ObserveMachineKey -Probe $Probe -Path $one.key -Context $context -Script {
            param ($Probe, $Key, $Label, $Context)

            Add-ObserveRecord -Probe $Probe -Record @{ cause = $Context.cause; detail = $Label }
        }
    }
    foreach ($one in $script:RebootValues) {
        Read-ObserveMachineKey -Probe $Probe -Path $one.key -Context $one -Script {
            param ($Probe, $Key, $Label, $Context)

            $value = Get-ObserveValue -Key $Key -Name $Context.value
            if ($null -ne $value -and $value -ne 0) {
                Add-ObserveRecord -Probe $Probe -Record @{ cause = $Context.cause; detail = '{0}\{1}' -f $Label, $Context.value }
            }
        }
    }
    Read-ObserveMachineKey -Probe $Probe -Path "$script:Control\Session Manager" -Script {
        param ($Probe, $Key, $Label, $Context)

        foreach ($name in @('PendingFileRenameOperations', 'PendingFileRenameOperations2')) {
            $value = Get-ObserveValue -Key $Key -Name $name
            $paths = @($value)
            # Pairs of a file and its new name; an empty new name means removal.
            $files = @(for ($place = 0; $place -lt $paths.Count; $place += 2) {
                    if ($paths[$place]) {
                        ([string]$paths[$place]) -replace '^[*!]?\d?\\\?\?\\', ''
                    }
                })
            if ($files.Count -gt 0) {
                $shown = [string]::Join('; ', [string[]]@($files | Select-Object -First $script:MaxPaths))
                if ($files.Count -gt $script:MaxPaths) {
                    $shown += '; and {0:D} more' -f ($files.Count - $script:MaxPaths)
                }
                Add-ObserveRecord -Probe $Probe -Record @{ cause = 'file_renames'; detail = $shown }
            }
        }
    }
    $names = foreach ($key in @('ActiveComputerName', 'ComputerName')) {
        (Get-ObserveMachineValue -Path "$script:Control\ComputerName\$key" -Name @('ComputerName')).ComputerName
    }
    if ($names[0] -and $names[1] -and $names[0] -ne $names[1]) {
        Add-ObserveRecord -Probe $Probe -Record @{ cause = 'computer_rename'; detail = '{0} -> {1}' -f $names[0], $names[1] }
    }
}

Function Read-ObserveEncryption {
    <#
    .SYNOPSIS
    Probe encryption: BitLocker from its provider; where that does not answer, what the start of Windows noted about the
    volume it is on. Whose drivers ask for a password before Windows starts is told as well.
    #>
    param ([hashtable]$Probe)

    $properties = @('DriveLetter', 'DeviceID', 'ProtectionStatus', 'ConversionStatus', 'EncryptionMethod')
    $arguments = @{
        Namespace = 'root/cimv2/security/MicrosoftVolumeEncryption'
        ClassName = 'Win32_EncryptableVolume'
        Property = $properties
    }
    $answer = Get-ObserveCim @arguments
    foreach ($volume in $answer.items) {
        $status = 'unknown'
        if ($null -ne $volume.ProtectionStatus -and $script:ProtectionWords.ContainsKey([int]$volume.ProtectionStatus)) {
            $status = $script:ProtectionWords[[int]$volume.ProtectionStatus]
        }
        if ($volume.ConversionStatus -in @(2, 3, 4, 5)) {
            $status = 'converting'
        }
        $detail = ''
        if ($status -eq 'off' -and $volume.ConversionStatus -eq 1) {
            $detail = 'encrypted, protection suspended'
        }
        $method = ''
        if ($null -ne $volume.EncryptionMethod -and $script:EncryptionMethods.ContainsKey([int]$volume.EncryptionMethod)) {
            $method = $script:EncryptionMethods[[int]$volume.EncryptionMethod]
        }
        Add-ObserveRecord -Probe $Probe -Record @{
            volume = if ($volume.DriveLetter) { $volume.DriveLetter } else { $volume.DeviceID }
            method = "BitLocker $method".Trim()
            status = $status
            detail = $detail
        }
    }
    if ($answer.reason -and (Test-ObserveMachineKey -Path "$script:ServicesKey\fvevol")) {
        $status = (Get-ObserveMachineValue -Path "$script:Control\BitLockerStatus" -Name @('BootStatus')).BootStatus
        if ($status) {
            Add-ObserveRecord -Probe $Probe -Record @{
                volume = 'system'
                method = 'BitLocker'
                status = if ($status -eq '1') { 'on' } else { 'off' }
                detail = 'as noted when Windows started'
            }
        }
        Add-ObserveProblem -Probe $Probe -Problem ('{0}: the state of other volumes is not known' -f $answer.reason)
    }
    foreach ($name in @($script:PreBoot.Keys | Sort-Object)) {
        if (Test-ObserveMachineKey -Path "$script:ServicesKey\$name") {
            Add-ObserveRecord -Probe $Probe -Record @{
                volume = 'system'
                method = $script:PreBoot[$name]
                status = 'unknown'
                detail = "its driver $name is registered"
            }
        }
    }
}

Function Read-ObserveRole {
    <#
    .SYNOPSIS
    Probe roles: what this machine is to others, from its services (but for disabled ones) and its own type.
    #>
    param ([hashtable]$Probe)

    $found = @{}
    $context = @{ found = $found }
    Read-ObserveMachineKey -Probe $Probe -Path $script:ServicesKey -Context $context -Listed -Script {
        param ($Probe, $Key, $Label, $Context)

        foreach ($name in @(Get-ObserveSubKeyName -Probe $Probe -Key $Key -Label $Label)) {
            foreach ($one in $script:RoleServices) {
                if ($name -notmatch $one.name -or $Context.found.ContainsKey($one.role)) {
                    continue
                }
                $state = @{ start = $null }
                $arguments = @{ Probe = $Probe; Key = $Key; Name = $name; Label = "$Label\$name"; Context = $state }
                Use-ObserveSubKey @arguments -Script {
                    param ($Probe, $Key, $Label, $Context)

                    $Context.start = Get-ObserveValue -Key $Key -Name 'Start'
                }
                if ($state.start -ne 4) {
                    $Context.found[$one.role] = "service $name"
                }
            }
        }
    }
    if (-not $found.ContainsKey('domain_controller')) {
        $type = (Get-ObserveMachineValue -Path "$script:Control\ProductOptions" -Name @('ProductType')).ProductType
        if ($type -eq 'LanmanNT') {
            $found.domain_controller = 'product type'
        }
    }
    if (-not $found.ContainsKey('rds')) {
        $state = (Get-ObserveMachineValue -Path "$script:ServerFeatures\RDS-RD-Server" -Name @('InstallState')).InstallState
        if ($state -eq '1') {
            $found.rds = 'feature RDS-RD-Server'
        }
    }
    foreach ($role in @($found.Keys | Sort-Object)) {
        Add-ObserveRecord -Probe $Probe -Record @{ role = $role; source = $found[$role] }
    }
}

Function Get-ObserveSession {
    <#
    .SYNOPSIS
    Signed-in users: hashtables with user, state and kind; $null when Windows does not say.
    #>
    param ()

    $type = 'ansible_collections.evict.kaspersky.plugins.module_utils._ObserveNative.Sessions' -as [type]
    if ($null -eq $type) {
        return $null
    }
    try {
        $users = $type::Users()
    }
    catch {
        return $null
    }
    # A list of its own, or an empty one would be $null to the caller.
    return , @(foreach ($one in $users) { @{ user = $one[0]; state = $one[1]; kind = $one[2] } })
}

Function Read-ObserveSession {
    <#
    .SYNOPSIS
    Probe sessions: who is signed in. Where Windows does not say, the hives of real users that are loaded.
    #>
    param ([hashtable]$Probe)

    $sessions = Get-ObserveSession
    if ($null -ne $sessions) {
        foreach ($one in $sessions) {
            Add-ObserveRecord -Probe $Probe -Record $one
        }
        return
    }
    $users = Open-ObserveBaseKey -Hive Users -View 64
    try {
        foreach ($sid in @(Get-ObserveHive -Users $users)) {
            if ($sid -notmatch '^S-1-(5-21|12-1)-') {
                continue
            }
            $name = $sid
            try {
                $identity = New-Object -TypeName System.Security.Principal.SecurityIdentifier -ArgumentList $sid
                $name = $identity.Translate([System.Security.Principal.NTAccount]).Value
            }
            catch {
                # An account that no longer exists: the number is its name.
                $name = $sid
            }
            Add-ObserveRecord -Probe $Probe -Record @{ user = $name; state = 'unknown'; kind = 'unknown' }
        }
    }
    finally {
        $users.Dispose()
    }
}

Export-ModuleMember -Function @(
    'Get-ObserveSession'
    'Read-ObserveEncryption'
    'Read-ObserveReboot'
    'Read-ObserveRole'
    'Read-ObserveSession'
)
