/* SPDX-License-Identifier: GPL-3.0-or-later
   powershell.exe and pwsh.exe for Wine: start the real program, kept as pwsh-host.exe, without a window, and hand
   the command line, the three standard handles and the exit code through.

   Started with a console window PowerShell 7 ends with 0 on Wine and has run nothing. This shim stands
   - beside pwsh-host.exe as pwsh.exe (asynchronous tasks start $PSHOME\pwsh.exe with a new console),
   - beside it as powershell.exe (Ansible's wrapper starts itself again when $PSHOME has no such program),
   - over Wine's own powershell.exe in system32\WindowsPowerShell\v1.0, which prints nothing and ends with 0. */
#include <windows.h>

#define REAL L"pwsh-host.exe"
#define FALLBACK L"C:\\kit\\powershell\\pwsh-host.exe"

static wchar_t exe[MAX_PATH + 16], line[65536];

static const wchar_t *arguments(const wchar_t *c) { /* what follows the program's name */
  if (*c == L'"') {
    for (c++; *c && *c != L'"'; c++) {}
    if (*c) c++;
  } else {
    while (*c && *c != L' ') c++;
  }
  while (*c == L' ') c++;
  return c;
}

int wmain(void) {
  const wchar_t *rest = arguments(GetCommandLineW());
  DWORD n = GetModuleFileNameW(NULL, exe, MAX_PATH), rc = 0;
  STARTUPINFOW si = {.cb = sizeof si, .dwFlags = STARTF_USESTDHANDLES};
  PROCESS_INFORMATION pi;

  while (n && exe[n - 1] != L'\\') n--;
  exe[n] = 0;
  lstrcatW(exe, REAL);
  if (GetFileAttributesW(exe) == INVALID_FILE_ATTRIBUTES) lstrcpyW(exe, FALLBACK);
  if (lstrlenW(rest) + lstrlenW(exe) > 65500) return ERROR_FILENAME_EXCED_RANGE;
  lstrcpyW(line, L"\"");
  lstrcatW(line, exe);
  lstrcatW(line, L"\" ");
  lstrcatW(line, rest);
  si.hStdInput = GetStdHandle(STD_INPUT_HANDLE);
  si.hStdOutput = GetStdHandle(STD_OUTPUT_HANDLE);
  si.hStdError = GetStdHandle(STD_ERROR_HANDLE);
  if (!CreateProcessW(exe, line, NULL, NULL, TRUE, CREATE_NO_WINDOW, NULL, NULL, &si, &pi)) return (int)GetLastError();
  WaitForSingleObject(pi.hProcess, INFINITE);
  GetExitCodeProcess(pi.hProcess, &rc);
  ExitProcess(rc);
}
