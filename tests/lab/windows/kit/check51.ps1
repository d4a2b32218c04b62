# SPDX-License-Identifier: GPL-3.0-or-later
# check51.ps1 [-Reference FOLDER] FILE...: parse .ps1/.psm1/.cs files with the real parsers, report errors and what Windows PowerShell 5.1 does not know.
# Run by PowerShell 7 (Linux is enough). Exit code 1 when something was reported.
# C#: .cs files, and string constants in a script that look like C# (a "using System" line or DllImport), as C# 5: syntax and too new features only;
# with -Reference (net472-reference.tar.xz unpacked) they are compiled against .NET Framework 4.7.2 and the 5.1 engine
# (all .cs files of one call together), and every compile error counts.
[CmdletBinding(PositionalBinding = $false)]
param([string]$Reference, [Parameter(ValueFromRemainingArguments)][string[]]$Path)
$ErrorActionPreference = 'Stop'
$script:found = 0
$newCommands = 'Test-Json', 'Join-String', 'Remove-Service', 'Get-Error', 'Get-Uptime', 'ConvertFrom-Markdown', 'Show-Markdown', 'Remove-Alias', 'Switch-Process'
$oldCommands = 'Get-WmiObject', 'Invoke-WmiMethod', 'Set-WmiInstance', 'Remove-WmiObject', 'Register-WmiEvent', 'Get-EventLog', 'New-WebServiceProxy'
$newParameters = @{
    'ForEach-Object' = 'Parallel', 'ThrottleLimit', 'TimeoutSeconds'; 'ConvertFrom-Json' = 'AsHashtable', 'Depth', 'DateKind', 'NoEnumerate'
    'ConvertTo-Json' = 'AsArray', 'EnumsAsStrings', 'EscapeHandling'; 'Get-Content' = 'AsByteStream'; 'Set-Content' = 'AsByteStream'; 'Add-Content' = 'AsByteStream'
    'Start-Process' = 'Environment'; 'Invoke-WebRequest' = 'SkipCertificateCheck', 'SkipHttpErrorCheck'; 'Invoke-RestMethod' = 'SkipCertificateCheck', 'SkipHttpErrorCheck'
    'Split-Path' = 'LeafBase', 'Extension'; 'Select-String' = 'NoEmphasis', 'Raw'; 'Join-Path' = 'AdditionalChildPath'
}
$newVariables = 'IsWindows', 'IsLinux', 'IsMacOS', 'IsCoreCLR', 'PSStyle', 'PSNativeCommandUseErrorActionPreference'
$newTokens = 'QuestionQuestion', 'QuestionQuestionEquals', 'QuestionDot', 'QuestionLBracket', 'AndAnd', 'OrOr'

function Report($file, $line, $rule, $text) { $script:found++; '{0}:{1}: {2}: {3}' -f $file, $line, $rule, ($text -replace '\s+', ' ').Substring(0, [Math]::Min(90, ($text -replace '\s+', ' ').Length)) }

foreach ($n in 'Microsoft.CodeAnalysis', 'Microsoft.CodeAnalysis.CSharp') { $null = [Reflection.Assembly]::LoadFrom("$PSHOME/$n.dll") }
$cs5 = [Microsoft.CodeAnalysis.CSharp.CSharpParseOptions]::Default.WithLanguageVersion('CSharp5').WithPreprocessorSymbols([string[]]@('WINDOWS'))
$core = [Microsoft.CodeAnalysis.MetadataReference[]]@([Microsoft.CodeAnalysis.MetadataReference]::CreateFromFile("$PSHOME/ref/System.Runtime.dll"))
if ($Reference) { $core = [Microsoft.CodeAnalysis.MetadataReference[]]@(Get-ChildItem -LiteralPath $Reference -Filter *.dll | ForEach-Object { [Microsoft.CodeAnalysis.MetadataReference]::CreateFromFile($_.FullName) }) }
$library = [Microsoft.CodeAnalysis.CSharp.CSharpCompilationOptions]::new([Microsoft.CodeAnalysis.OutputKind]::DynamicallyLinkedLibrary).WithAllowUnsafe($true)
function Test-CSharp($file, $firstLine, $code) {
    $tree = [Microsoft.CodeAnalysis.CSharp.CSharpSyntaxTree]::ParseText([string]$code, $cs5)
    $late = [Microsoft.CodeAnalysis.CSharp.CSharpCompilation]::Create('check', [Microsoft.CodeAnalysis.SyntaxTree[]]@($tree), $core, $library).GetDiagnostics() | Where-Object { $Reference -or $_.Id -eq 'CS8026' }
    $seen = @{}   # many "not available in C# 5" come only when compiling; without -Reference other compile errors (unknown types) do not count
    foreach ($d in @($tree.GetDiagnostics()) + @($late)) {
        if ("$($d.Severity)" -eq 'Error' -and -not $seen["$d"]) { $seen["$d"] = 1; Report $file ($firstLine + $d.Location.GetLineSpan().StartLinePosition.Line) 'csharp5' "$($d.Id) $($d.GetMessage())" }
    }
}

$together = [Microsoft.CodeAnalysis.SyntaxTree[]]@()
foreach ($file in $Path) {
    $full = (Resolve-Path -LiteralPath $file).ProviderPath
    $bytes = [IO.File]::ReadAllBytes($full)
    $text = [Text.Encoding]::UTF8.GetString($bytes)
    if ($text -match '[^\x00-\x7f]') { Report $file (($text.Substring(0, $text.IndexOf($Matches[0])) -split "`n").Count) 'not-ascii' $Matches[0] }
    if ($file -like '*.cs') { if ($Reference) { $together += [Microsoft.CodeAnalysis.CSharp.CSharpSyntaxTree]::ParseText([string]$text, $cs5, $file) } else { Test-CSharp $file 1 $text }; continue }
    $tokens = $errors = $null
    $ast = [System.Management.Automation.Language.Parser]::ParseFile($full, [ref]$tokens, [ref]$errors)
    foreach ($e in $errors) { Report $file $e.Extent.StartLineNumber 'parse' $e.Message }
    foreach ($t in $tokens) {
        if ("$($t.Kind)" -in $newTokens) { Report $file $t.Extent.StartLineNumber 'only-7' $t.Text }
        elseif ($t.Kind -eq 'Number' -and $t.Text -match '^(0b|[\d.]+(u|y|s|n|u[ysl]))(kb|mb|gb|tb|pb)?$|^0b') { Report $file $t.Extent.StartLineNumber 'only-7' $t.Text }
        elseif ($t.Kind -in 'StringExpandable', 'HereStringExpandable' -and $t.Text -match '(?<!`)(``)*`(e|u\{)') { Report $file $t.Extent.StartLineNumber 'only-7' 'escape `e or `u{}' }
    }
    foreach ($a in $ast.FindAll({ $true }, $true)) {
        $line = $a.Extent.StartLineNumber
        switch ($a.GetType().Name) {
            'TernaryExpressionAst' { Report $file $line 'only-7' "ternary $a" }
            'ScriptBlockAst' { if ($a.CleanBlock) { Report $file $a.CleanBlock.Extent.StartLineNumber 'only-7' 'clean block' } }
            'PipelineAst' { if ($a.Background) { Report $file $line 'only-7' "background & $a" } }
            'VariableExpressionAst' { if ($a.VariablePath.UserPath -in $newVariables) { Report $file $line 'only-7' "`$$($a.VariablePath.UserPath)" } }
            'CommandAst' {
                $name = $a.GetCommandName()
                if ($name -in $newCommands) { Report $file $line 'only-7' $name }
                if ($name -in $oldCommands) { Report $file $line 'only-5.1' $name }
                $real = @{ '%' = 'ForEach-Object'; 'foreach' = 'ForEach-Object'; 'gc' = 'Get-Content'; 'iwr' = 'Invoke-WebRequest'; 'irm' = 'Invoke-RestMethod' }["$name"]
                $news = $newParameters["$(if ($real) { $real } else { $name })"]
                foreach ($p in $a.CommandElements) { if ($news -and $p -is [System.Management.Automation.Language.CommandParameterAst] -and $p.ParameterName -in $news) { Report $file $line 'only-7' "$name -$($p.ParameterName)" } }
            }
            'StringConstantExpressionAst' {
                if ($a.Value -match 'Win32_Product\b' -and $a.Value.Length -lt 200) { Report $file $line 'forbidden' 'Win32_Product' }
                if ($a.Value -match '(?m)^\s*using System|\bDllImport\(' -and $a.Value -match '[{;]') {
                    $code = $a.Value; if ($code -notmatch '\b(class|struct|enum|interface)\b') { $code = "class X { $code }" }
                    Test-CSharp $file ($line + [int]("$($a.StringConstantType)" -like '*HereString')) $code
                }
            }
        }
    }
}
if ($together) {
    foreach ($d in [Microsoft.CodeAnalysis.CSharp.CSharpCompilation]::Create('check', [Microsoft.CodeAnalysis.SyntaxTree[]]$together, $core, $library).GetDiagnostics()) {
        if ("$($d.Severity)" -eq 'Error') { $at = $d.Location.GetLineSpan(); Report $at.Path ($at.StartLinePosition.Line + 1) 'csharp5' "$($d.Id) $($d.GetMessage())" }
    }
}
'{0} files, {1} findings' -f @($Path).Count, $script:found
exit [int]($script:found -gt 0)
