# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

# Private to this collection; may change without notice.
# The only way to CIM in win_observe. Its providers may hang (Defender's does while another antivirus is active), be broken or
# be missing, so each question has a time limit, a runspace of its own and, at the caller's, a second source.

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

# Seconds that are waited for a class; it is told to stop a little earlier.
$script:Patience = 12
# What each class answered last.
$script:Answers = @{}

Function Get-ObserveCim {
    <#
    .SYNOPSIS
    Some properties of all instances of a class: hashtable with reason ('' when it answered) and items (hashtables).
    .PARAMETER Known
    An answer that this class gave before will do: a provider that hangs is not waited for twice.
    #>
    [OutputType([hashtable])]
    param (
        [string]$Namespace,
        [string]$ClassName,
        [string[]]$Property,
        [int]$Patience = $script:Patience,
        [switch]$Known
    )

    if ($Known -and $script:Answers.ContainsKey("$Namespace $ClassName")) {
        return $script:Answers["$Namespace $ClassName"]
    }
    $limit = $Patience - [int][Math]::Min(2, [Math]::Floor($Patience / 3))
    $answer = @{ reason = ''; items = New-Object -TypeName System.Collections.ArrayList }
    $script:Answers["$Namespace $ClassName"] = $answer
    $shell = $null
    try {
        $shell = [System.Management.Automation.PowerShell]::Create()
        [void]$shell.AddCommand('Get-CimInstance')
        [void]$shell.AddParameter('Namespace', $Namespace)
        [void]$shell.AddParameter('ClassName', $ClassName)
        [void]$shell.AddParameter('OperationTimeoutSec', $limit)
        [void]$shell.AddParameter('ErrorAction', 'Stop')
        $handle = $shell.BeginInvoke()
        if (-not $handle.AsyncWaitHandle.WaitOne(1000 * $Patience)) {
            # Ended in the background; waiting for that could hang as well.
            [void]$shell.BeginStop($null, $null)
            $shell = $null
            $answer.reason = 'no answer within {0:D} s' -f $limit
            return $answer
        }
        foreach ($item in $shell.EndInvoke($handle)) {
            $one = @{}
            foreach ($name in $Property) {
                $value = $item.CimInstanceProperties[$name]
                $one[$name] = if ($null -ne $value) { $value.Value } else { $null }
            }
            [void]$answer.items.Add($one)
        }
    }
    catch {
        $answer.reason = '{0} does not answer' -f $ClassName
    }
    finally {
        if ($null -ne $shell) {
            $shell.Dispose()
        }
    }
    $answer
}

Export-ModuleMember -Function @(
    'Get-ObserveCim'
)
