# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection; may change without notice.
# What every probe of win_observe shares: clean text, matching by literals, records with caps, one answer per probe.

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

# A value longer than this is cut, a probe with more records than this could not tell.
$script:MaxText = 1024
$script:MaxRecords = 2000
# So many problems (keys, profiles) stand in a reason by name; the rest is counted.
$script:MaxProblems = 12
# A high surrogate without its low one, or the other way round.
$script:HalfPair = '[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]'

Function ConvertTo-ObserveText {
    <#
    .SYNOPSIS
    Any registry or .NET value as a plain string: no NUL, no half of a surrogate pair, at most 1024 characters.
    #>
    [OutputType([string])]
    param ([AllowNull()][object]$Value)

    if ($null -eq $Value) {
        return ''
    }
    if ($Value -is [byte[]]) {
        # Some installers write a name as REG_BINARY; UTF-16 is what they mean.
        $text = [System.Text.Encoding]::Unicode.GetString($Value)
    }
    elseif ($Value -is [string[]]) {
        $text = [string]::Join('; ', $Value)
    }
    else {
        $text = [System.Convert]::ToString($Value, [System.Globalization.CultureInfo]::InvariantCulture)
    }
    $text = $text.Replace([string][char]0, '')
    if ($text.Length -gt $script:MaxText) {
        $length = $script:MaxText
        if ([char]::IsHighSurrogate($text[$length - 1])) {
            $length--
        }
        $text = $text.Substring(0, $length)
    }
    # Half a surrogate pair has no UTF-8 form and would break the JSON of the whole answer.
    [regex]::Replace($text, $script:HalfPair, [string][char]0xFFFD)
}

Function Get-ObserveReason {
    <#
    .SYNOPSIS
    Why something failed, in few words. Messages of Windows are in its own language, so the common ones are named here.
    #>
    [OutputType([string])]
    param ([System.Exception]$Exception)

    # A pipeline keeps the exception of .NET inside one of its own.
    $inner = $Exception.GetBaseException()
    if ($inner -is [System.Security.SecurityException] -or $inner -is [System.UnauthorizedAccessException]) {
        return 'access denied'
    }
    $message = (ConvertTo-ObserveText -Value $inner.Message).Trim()
    if ($message.Length -gt 200) {
        $message = $message.Substring(0, 200)
    }
    if ($inner -is [System.Management.Automation.RuntimeException]) {
        return $message
    }
    '{0}: {1}' -f $inner.GetType().Name, $message
}

Function New-ObserveFilter {
    <#
    .SYNOPSIS
    One expression out of many literals: does any of them occur, whatever the case? $null when there are none.
    The host only narrows down with it, so that answers stay small; it never decides.
    #>
    [OutputType([regex])]
    param ([AllowNull()][AllowEmptyCollection()][object[]]$Literal)

    if (-not $Literal) {
        return $null
    }
    $pieces = foreach ($piece in $Literal) { [regex]::Escape([string]$piece) }
    New-Object -TypeName System.Text.RegularExpressions.Regex -ArgumentList @(
        [string]::Join('|', [string[]]@($pieces))
        [System.Text.RegularExpressions.RegexOptions]'IgnoreCase, CultureInvariant'
    )
}

Function Test-ObserveFilter {
    <#
    .SYNOPSIS
    Does the filter match one of the texts? A filter without literals matches nothing.
    #>
    [OutputType([bool])]
    param (
        [AllowNull()][regex]$Filter,
        [AllowEmptyCollection()][AllowEmptyString()][string[]]$Text
    )

    # A literal has no line end, so it cannot match across two texts.
    $null -ne $Filter -and $Filter.IsMatch([string]::Join("`n", $Text))
}

Function New-ObserveProbe {
    <#
    .SYNOPSIS
    The state of one running probe: what it found, what it could not tell, and how long it may still take.
    #>
    [OutputType([hashtable])]
    param ([int]$Timeout)

    @{
        records = New-Object -TypeName System.Collections.ArrayList
        problems = New-Object -TypeName System.Collections.ArrayList
        watch = [System.Diagnostics.Stopwatch]::StartNew()
        timeout = $Timeout
        ended = $false
    }
}

Function Assert-ObserveTime {
    <#
    .SYNOPSIS
    Called between the steps of a probe: ends it when its time is over. What it found until then still counts.
    #>
    param ([hashtable]$Probe)

    if ($Probe.watch.Elapsed.TotalSeconds -ge $Probe.timeout) {
        $Probe.ended = $true
        throw ('took longer than {0} s' -f $Probe.timeout)
    }
}

Function Add-ObserveRecord {
    <#
    .SYNOPSIS
    One record, all values plain strings. The 2,001st ends the probe.
    #>
    param (
        [hashtable]$Probe,
        [System.Collections.IDictionary]$Record
    )

    if ($Probe.records.Count -ge $script:MaxRecords) {
        $Probe.ended = $true
        throw ('more than {0:D} records' -f $script:MaxRecords)
    }
    $clean = @{}
    foreach ($name in @($Record.Keys)) {
        $clean[(ConvertTo-ObserveText -Value $name)] = ConvertTo-ObserveText -Value $Record[$name]
    }
    [void]$Probe.records.Add($clean)
}

Function Add-ObserveProblem {
    <#
    .SYNOPSIS
    Something this probe needed and could not inspect.
    #>
    param (
        [hashtable]$Probe,
        [string]$Problem
    )

    if (-not $Probe.problems.Contains($Problem)) {
        [void]$Probe.problems.Add($Problem)
    }
}

Function Complete-ObserveProbe {
    <#
    .SYNOPSIS
    The answer of a probe as the observation carries it: status, reason, records.
    #>
    [OutputType([hashtable])]
    param ([hashtable]$Probe)

    $status = 'absent'
    $reason = ''
    if ($Probe.problems.Count -gt 0) {
        $status = 'unknown'
        $named = [Math]::Min($Probe.problems.Count, $script:MaxProblems)
        $reason = [string]::Join('; ', [string[]]$Probe.problems.GetRange(0, $named).ToArray())
        if ($Probe.problems.Count -gt $named) {
            $reason += ('; and {0} more' -f ($Probe.problems.Count - $named))
        }
    }
    elseif ($Probe.records.Count -gt 0) {
        $status = 'ok'
    }
    @{
        status = $status
        reason = ConvertTo-ObserveText -Value $reason
        records = $Probe.records
    }
}

Function Invoke-ObserveProbe {
    <#
    .SYNOPSIS
    Run one probe. Whatever goes wrong inside makes this probe "unknown"; the others do not notice.
    #>
    [OutputType([hashtable])]
    param (
        [scriptblock]$Script,
        [int]$Timeout
    )

    $probe = New-ObserveProbe -Timeout $Timeout
    try {
        [void](& $Script $probe)
    }
    catch {
        # First in the reason: what ended the probe weighs more than single keys it could not read.
        [void]$probe.problems.Insert(0, (Get-ObserveReason -Exception $_.Exception))
    }
    Complete-ObserveProbe -Probe $probe
}

Export-ModuleMember -Function @(
    'Add-ObserveProblem'
    'Add-ObserveRecord'
    'Assert-ObserveTime'
    'Complete-ObserveProbe'
    'ConvertTo-ObserveText'
    'Get-ObserveReason'
    'Invoke-ObserveProbe'
    'New-ObserveFilter'
    'New-ObserveProbe'
    'Test-ObserveFilter'
)
