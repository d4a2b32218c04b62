# SPDX-License-Identifier: GPL-3.0-or-later

# A registry out of hashtables, with the methods of Microsoft.Win32.RegistryKey that the hands use. Dot-source it.
# A key is @{ keys = @{ name = key }; values = @{ name = value }; denied = 'open', 'list' or 'values' }; all optional.

class FakeKey {
    # Every key handed out and not disposed yet; a test that leaves one open fails.
    static [int] $Open = 0
    hidden [hashtable] $Node
    hidden [bool] $Disposed = $false

    FakeKey([hashtable] $node) {
        $this.Node = $node
        [FakeKey]::Open++
    }

    hidden [hashtable] Part([hashtable] $node, [string] $part) {
        if ($node.ContainsKey($part)) {
            return $node[$part]
        }
        return @{}
    }

    hidden [void] Refuse([hashtable] $node, [string] $what) {
        if ($node.ContainsKey('denied') -and $node['denied'] -eq $what) {
            throw (New-Object -TypeName System.Security.SecurityException -ArgumentList 'Zugriff verweigert')
        }
    }

    [object] OpenSubKey([string] $name) {
        $found = $this.Node
        foreach ($part in $name.Split('\')) {
            $keys = $this.Part($found, 'keys')
            if (-not $keys.ContainsKey($part)) {
                return $null
            }
            $found = $keys[$part]
            if ($null -eq $found) {
                # Listed by its name, but not to be opened.
                return $null
            }
            $this.Refuse($found, 'open')
        }
        return [FakeKey]::new($found)
    }

    [string[]] GetSubKeyNames() {
        $this.Refuse($this.Node, 'list')
        return [string[]]@($this.Part($this.Node, 'keys').Keys | Sort-Object)
    }

    [string[]] GetValueNames() {
        $this.Refuse($this.Node, 'values')
        return [string[]]@($this.Part($this.Node, 'values').Keys | Sort-Object)
    }

    [object] GetValue([string] $name, [object] $default, [object] $options) {
        $this.Refuse($this.Node, 'values')
        $values = $this.Part($this.Node, 'values')
        if ($values.ContainsKey($name)) {
            return $values[$name]
        }
        return $default
    }

    [void] Dispose() {
        if ($this.Disposed) {
            throw 'disposed twice'
        }
        $this.Disposed = $true
        [FakeKey]::Open--
    }
}

Function New-FakeTree {
    <#
    .SYNOPSIS
    A tree of keys from full paths: @{ 'SOFTWARE\X' = @{ Name = 'value' } }; a value of $null makes a key that cannot be
    opened, a string 'denied:open' (list, values) one that refuses.
    #>
    param ([hashtable]$Path)

    $root = @{ keys = @{}; values = @{} }
    foreach ($full in @($Path.Keys)) {
        $node = $root
        $parts = $full.Split('\')
        for ($index = 0; $index -lt $parts.Count; $index++) {
            $part = $parts[$index]
            $last = $index -eq $parts.Count - 1
            if ($last -and $null -eq $Path[$full]) {
                $node.keys[$part] = $null
                break
            }
            if (-not $node.keys.ContainsKey($part)) {
                $node.keys[$part] = @{ keys = @{}; values = @{} }
            }
            $node = $node.keys[$part]
            if ($last) {
                if ($Path[$full] -is [string]) {
                    $node.denied = $Path[$full].Substring(7)
                }
                else {
                    $node.values = $Path[$full]
                }
            }
        }
    }
    $root
}

Function Initialize-FakeRegistry {
    <#
    .SYNOPSIS
    Set the three trees that Open-ObserveBaseKey hands out while it is mocked with Open-FakeBaseKey.
    #>
    param (
        [hashtable]$Machine64 = @{},
        [hashtable]$Machine32 = @{},
        [hashtable]$Users = @{}
    )

    $global:FakeRegistry = @{
        LocalMachine64 = New-FakeTree -Path $Machine64
        LocalMachine32 = New-FakeTree -Path $Machine32
        Users64 = New-FakeTree -Path $Users
    }
    [FakeKey]::Open = 0
}

Function Open-FakeBaseKey {
    <#
    .SYNOPSIS
    Stands in for Open-ObserveBaseKey.
    #>
    param ([string]$Hive, [string]$View)

    [FakeKey]::new($global:FakeRegistry["$Hive$View"])
}

Function Get-FakeOpenKey {
    <#
    .SYNOPSIS
    How many keys were opened and never disposed.
    #>
    param ()

    [FakeKey]::Open
}
