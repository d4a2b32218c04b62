# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection; may change without notice.
# Extensions of browsers, add-ins of Office and AppX packages for win_observe: the registry of the machine and of each loaded
# user, and the folders in which browsers keep extensions.

#AnsibleRequires -PowerShell ..module_utils._observe_core
#AnsibleRequires -PowerShell ..module_utils._observe_registry
#AnsibleRequires -PowerShell ..module_utils._observe_files
#AnsibleRequires -PowerShell ..module_utils._observe_hives

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

$script:Chromium = @{
    chrome = 'Google\Chrome'
    edge = 'Microsoft\Edge'
    chromium = 'Chromium'
    brave = 'BraveSoftware\Brave-Browser'
    vivaldi = 'Vivaldi'
    yandex = 'Yandex\YandexBrowser'
    opera = 'Opera Software'
}
$script:Policies = @{
    chrome = 'Policies\Google\Chrome'
    edge = 'Policies\Microsoft\Edge'
    chromium = 'Policies\Chromium'
    brave = 'Policies\BraveSoftware\Brave'
    yandex = 'Policies\YandexBrowser'
}
$script:OfficePrograms = @('Outlook', 'Word', 'Excel', 'PowerPoint', 'Access')
# How the keys are laid out: form "keys" (one key an item), "values" (one value an item), "list" (items are values' data).
$script:Places = @(
    foreach ($browser in @($script:Chromium.Keys)) {
        @{ browser = $browser; kind = 'extension'; form = 'keys'; path = '{0}\Extensions' -f $script:Chromium[$browser] }
        @{ browser = $browser; kind = 'native_host'; form = 'keys'; path = '{0}\NativeMessagingHosts' -f $script:Chromium[$browser] }
    }
    foreach ($browser in @($script:Policies.Keys)) {
        foreach ($list in @('ExtensionInstallForcelist', 'ExtensionInstallAllowlist', 'ExtensionInstallWhitelist')) {
            @{ browser = $browser; kind = 'policy'; form = 'list'; path = '{0}\{1}' -f $script:Policies[$browser], $list }
        }
        @{ browser = $browser; kind = 'policy'; form = 'keys'; path = '{0}\ExtensionSettings' -f $script:Policies[$browser] }
        @{ browser = $browser; kind = 'policy'; form = 'setting'; path = $script:Policies[$browser] }
    }
    @{ browser = 'firefox'; kind = 'native_host'; form = 'keys'; path = 'Mozilla\NativeMessagingHosts' }
    @{ browser = 'firefox'; kind = 'extension'; form = 'values'; path = 'Mozilla\Firefox\Extensions' }
    @{ browser = 'firefox'; kind = 'policy'; form = 'list'; path = 'Policies\Mozilla\Firefox\Extensions\Install' }
    @{ browser = 'firefox'; kind = 'policy'; form = 'list'; path = 'Policies\Mozilla\Firefox\Extensions\Locked' }
    @{ browser = 'firefox'; kind = 'policy'; form = 'setting'; path = 'Policies\Mozilla\Firefox' }
    @{ browser = 'thunderbird'; kind = 'extension'; form = 'values'; path = 'Mozilla\Thunderbird\Extensions' }
    @{ browser = 'ie'; kind = 'extension'; form = 'values'; path = 'Microsoft\Internet Explorer\Toolbar' }
    @{ browser = 'ie'; kind = 'extension'; form = 'keys'; path = 'Microsoft\Internet Explorer\Extensions' }
    @{
        browser = 'ie'; kind = 'extension'; form = 'keys'
        path = 'Microsoft\Windows\CurrentVersion\Explorer\Browser Helper Objects'
    }
    foreach ($program in $script:OfficePrograms) {
        $browser = $program.ToLowerInvariant()
        @{ browser = $browser; kind = 'addin'; form = 'keys'; path = "Microsoft\Office\$program\Addins" }
        @{
            browser = $browser; kind = 'addin'; form = 'keys'
            path = "Microsoft\Office\ClickToRun\REGISTRY\MACHINE\Software\Microsoft\Office\$program\Addins"
        }
    }
)
$script:ClassPath = 'SOFTWARE\Classes\CLSID'
$script:AppxKey = 'SOFTWARE\Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore'
$script:PackagesKey = 'Local Settings\Software\Microsoft\Windows\CurrentVersion\AppModel\{0}\Packages'

Function Add-ObserveExtension {
    <#
    .SYNOPSIS
    A record for an extension that holds a literal.
    #>
    param (
        [hashtable]$Probe,
        [hashtable]$Context,
        [AllowEmptyString()][string]$Id,
        [AllowEmptyString()][string]$Name = '',
        [AllowEmptyString()][string]$Path = ''
    )

    if ($Id -match '^\{[0-9A-Fa-f-]{36}\}$' -and $Context.browser -eq 'ie') {
        # Only a class id: its name and library stand with the class.
        foreach ($view in @(Get-ObserveView)) {
            $found = @{ name = ''; path = '' }
            Read-ObserveMachineKey -Probe $Probe -Path "$script:ClassPath\$Id" -View $view -Context $found -Script {
                param ($Probe, $Key, $Label, $Context)

                $Context.name = ConvertTo-ObserveText -Value (Get-ObserveValue -Key $Key -Name '')
                Use-ObserveSubKey -Probe $Probe -Key $Key -Name 'InprocServer32' -Label $Label -Context $Context -Script {
                    param ($Probe, $Key, $Label, $Context)

                    $Context.path = ConvertTo-ObserveText -Value (Get-ObserveValue -Key $Key -Name '')
                }
            }
            $Name = if ($Name) { $Name } else { $found.name }
            $Path = if ($Path) { $Path } else { $found.path }
        }
    }
    if (-not (Test-ObserveFilter -Filter $Context.filter -Text @($Id, $Name, $Path))) {
        return
    }
    $record = @{
        browser = $Context.browser
        kind = $Context.kind
        hive = $Context.hive
        sid = $Context.sid
        id = $Id
        name = $Name
        path = $Path
    }
    # Some keys are the same in both views.
    $mark = [string]::Join('|', [string[]]@($record.Values)).ToLowerInvariant()
    if (-not $Context.seen.ContainsKey($mark)) {
        $Context.seen[$mark] = $true
        Add-ObserveRecord -Probe $Probe -Record $record
    }
}

$script:ReadExtensions = {
    param ($Probe, $Key, $Label, $Context)

    if ($Context.form -eq 'keys') {
        Read-ObserveChildKey -Probe $Probe -Key $Key -Label $Label -Context $Context -Script {
            param ($Probe, $Key, $Label, $Context)

            $values = Get-ObserveKeyValue -Probe $Probe -Key $Key -Label $Label
            $texts = @{ name = ''; path = '' }
            foreach ($name in @('FriendlyName', 'ButtonText', 'Description')) {
                if (-not $texts.name -and $values[$name]) {
                    $texts.name = ConvertTo-ObserveText -Value $values[$name]
                }
            }
            foreach ($name in @('', 'path', 'update_url', 'Manifest', 'installation_mode')) {
                if (-not $texts.path -and $values[$name]) {
                    $texts.path = ConvertTo-ObserveText -Value $values[$name]
                }
            }
            Add-ObserveExtension -Probe $Probe -Context $Context -Id $Context.name -Name $texts.name -Path $texts.path
        }
        return
    }
    $values = Get-ObserveKeyValue -Probe $Probe -Key $Key -Label $Label
    foreach ($name in @($values.Keys | Sort-Object)) {
        $text = ConvertTo-ObserveText -Value $values[$name]
        if ($Context.form -eq 'values') {
            Add-ObserveExtension -Probe $Probe -Context $Context -Id $name -Path $text
        }
        elseif ($Context.form -eq 'list') {
            $id, $url = $text -split ';', 2
            Add-ObserveExtension -Probe $Probe -Context $Context -Id $id -Path ([string]$url)
        }
        elseif ($name -eq 'ExtensionSettings' -and $Context.filter.IsMatch([string]$values[$name])) {
            # A text in JSON: what it says of the extension that was found.
            foreach ($match in [regex]::Matches([string]$values[$name], '"([^"\\]{3,200})"\s*:\s*(\{[^{}]*\})')) {
                $arguments = @{ Id = $match.Groups[1].Value; Path = $match.Groups[2].Value }
                Add-ObserveExtension -Probe $Probe -Context $Context @arguments
            }
        }
    }
}

Function Read-ObserveExtensionFolder {
    <#
    .SYNOPSIS
    The folders in which browsers keep the extensions of each profile, whether its hive is loaded or not. The name of such a
    folder is the extension's id.
    #>
    param (
        [hashtable]$Probe,
        [hashtable]$Folder,
        [hashtable]$Context
    )

    foreach ($one in @(Get-ObserveProfile -Probe $Probe -Loaded @())) {
        Assert-ObserveTime -Probe $Probe
        $root = (Expand-ObservePath -Path $one.path -Folder $Folder).TrimEnd('\')
        if ((Get-ObserveFileType -Path $root -Folder $Folder) -ne 'dir') {
            # No folder, no extensions in it; the hive is another question.
            continue
        }
        foreach ($browser in @($script:Chromium.Keys)) {
            $data = '{0}\AppData\Local\{1}\User Data' -f $root, $script:Chromium[$browser]
            if ((Get-ObserveFileType -Path $data -Folder $Folder) -ne 'dir') {
                continue
            }
            $place = $Context.Clone()
            $place.browser = $browser
            $place.kind = 'extension'
            $place.hive = 'user'
            $place.sid = $one.sid
            try {
                foreach ($name in @('Default', 'Profile *')) {
                    foreach ($user in @(Get-ObserveEntry -Parent $data -Pattern $name -Folder $Folder)) {
                        if ((Get-ObserveFileType -Path "$user\Extensions" -Folder $Folder) -ne 'dir') {
                            continue
                        }
                        foreach ($entry in @(Get-ObserveEntry -Parent "$user\Extensions" -Pattern '*' -Folder $Folder)) {
                            $id = $entry.Substring($entry.LastIndexOf('\') + 1)
                            if ($place.filter.IsMatch($id)) {
                                Add-ObserveExtension -Probe $Probe -Context $place -Id $id -Path $entry
                            }
                        }
                    }
                }
            }
            catch {
                Add-ObserveProblem -Probe $Probe -Problem ('{0}: {1}' -f $data, (Get-ObserveReason -Exception $_.Exception))
            }
        }
    }
}

Function Read-ObserveExtension {
    <#
    .SYNOPSIS
    Probe extensions: what holds a literal in its id, name or path, of the machine and of each user.
    #>
    param (
        [hashtable]$Probe,
        [hashtable]$Folder,
        [AllowEmptyCollection()][object[]]$Literal
    )

    $filter = New-ObserveFilter -Literal $Literal
    if ($null -eq $filter) {
        return
    }
    $context = @{ filter = $filter; seen = @{} }
    $users = Open-ObserveBaseKey -Hive Users -View 64
    try {
        $loaded = @(Get-ObserveHive -Users $users)
        Add-ObserveUnloadedHive -Probe $Probe -Loaded $loaded -Literal $Literal
        $walk = @{ Probe = $Probe; Users = $users; Sid = $loaded; Place = $script:Places; Context = $context }
        Read-ObserveSoftware @walk -Script $script:ReadExtensions
    }
    finally {
        $users.Dispose()
    }
    Read-ObserveExtensionFolder -Probe $Probe -Folder $Folder -Context $context
}

Function Add-ObserveAppx {
    <#
    .SYNOPSIS
    A record for a package whose full name (name, version, architecture, resource, publisher's mark) holds a literal.
    #>
    param (
        [hashtable]$Probe,
        [hashtable]$Context,
        [string]$Name,
        [string]$Scope
    )

    if (-not $Context.filter.IsMatch($Name)) {
        return
    }
    $parts = $Name.Split('_')
    $mark = ('{0}|{1}' -f $Name, $Scope).ToLowerInvariant()
    if ($Context.seen.ContainsKey($mark)) {
        return
    }
    $Context.seen[$mark] = $true
    Add-ObserveRecord -Probe $Probe -Record @{
        name = $parts[0]
        version = if ($parts.Count -gt 1) { $parts[1] } else { '' }
        publisher = if ($parts.Count -gt 2) { $parts[-1] } else { '' }
        scope = $Scope
    }
}

$script:ReadPackages = {
    param ($Probe, $Key, $Label, $Context)

    foreach ($name in @(Get-ObserveSubKeyName -Probe $Probe -Key $Key -Label $Label)) {
        Add-ObserveAppx -Probe $Probe -Context $Context -Name $name -Scope $Context.scope
    }
}

Function Read-ObserveAppx {
    <#
    .SYNOPSIS
    Probe appx: packages whose name holds a literal. The machine keeps a list for each user, so no user's hive is needed;
    those of loaded users and the folder of all packages are further sources.
    #>
    param (
        [hashtable]$Probe,
        [hashtable]$Folder,
        [AllowEmptyCollection()][object[]]$Literal
    )

    $filter = New-ObserveFilter -Literal $Literal
    if ($null -eq $filter) {
        return
    }
    $context = @{ filter = $filter; seen = @{}; scope = 'installed' }
    $earlier = $Probe.problems.Count
    Read-ObserveMachineKey -Probe $Probe -Path $script:AppxKey -Context $context -Script {
        param ($Probe, $Key, $Label, $Context)

        foreach ($name in @(Get-ObserveSubKeyName -Probe $Probe -Key $Key -Label $Label)) {
            if ($name -notmatch '^(Applications|InboxApplications|Staged|S-1-.+)$') {
                continue
            }
            $one = $Context.Clone()
            $one.scope = if ($name -like '*Applications') { 'provisioned' } else { 'installed' }
            $arguments = @{ Probe = $Probe; Key = $Key; Name = $name; Label = "$Label\$name"; Context = $one }
            Use-ObserveSubKey @arguments -Script $script:ReadPackages
        }
    }
    $path = 'SOFTWARE\Classes\{0}' -f ($script:PackagesKey -f 'PackageRepository')
    Read-ObserveMachineKey -Probe $Probe -Path $path -Context $context -Script $script:ReadPackages
    $users = Open-ObserveBaseKey -Hive Users -View 64
    try {
        foreach ($hive in @(Get-ObserveHive -Users $users -Classes)) {
            $name = '{0}\{1}' -f $hive, ($script:PackagesKey -f 'Repository')
            Use-ObserveSubKey -Probe $Probe -Key $users -Name $name -Label "HKU\$name" -Context $context -Script $script:ReadPackages
        }
    }
    finally {
        $users.Dispose()
    }
    if (-not $Folder.ContainsKey('programfiles')) {
        return
    }
    $parent = '{0}\WindowsApps' -f $Folder.programfiles
    try {
        if ((Get-ObserveFileType -Path $parent -Folder $Folder) -eq 'dir') {
            foreach ($entry in @(Get-ObserveEntry -Parent $parent -Pattern '*' -Folder $Folder)) {
                $arguments = @{ Probe = $Probe; Context = $context; Name = $entry.Substring($entry.LastIndexOf('\') + 1) }
                if (-not $context.seen.ContainsKey(('{0}|provisioned' -f $arguments.Name).ToLowerInvariant())) {
                    Add-ObserveAppx @arguments -Scope 'installed'
                }
            }
        }
    }
    catch {
        if ($Probe.ended) {
            throw
        }
        if ($Probe.problems.Count -gt $earlier) {
            # Neither source told everything.
            Add-ObserveProblem -Probe $Probe -Problem ('{0}: {1}' -f $parent, (Get-ObserveReason -Exception $_.Exception))
        }
    }
}

Export-ModuleMember -Function @(
    'Read-ObserveAppx'
    'Read-ObserveExtension'
)
