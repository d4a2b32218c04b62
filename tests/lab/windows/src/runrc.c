/* SPDX-License-Identifier: GPL-3.0-or-later
   runrc.exe FOLDER: run the command line in FOLDER\line (UTF-8) without a window and write its 32-bit exit code to
   FOLDER\rc.

   The line lies in a file because a Unix argument list cannot carry a Windows command line unchanged (msiexec and
   cmd have their own quoting), and the exit code because Unix sees 8 bits of it (Windows Installer: 1603). The
   command runs in a job that dies with runrc: who ends runrc ends the command and its children. A command that ends
   by itself leaves its children alone. */
#include <windows.h>
#include <stdio.h>

#define LONGEST 32767 /* of a Windows command line */

static wchar_t path[4096], line[LONGEST + 1];
static char bytes[4 * LONGEST + 1];

static FILE *in_folder(const wchar_t *folder, const wchar_t *name, const wchar_t *mode) {
  if (lstrlenW(folder) > 4000) return NULL;
  lstrcpyW(path, folder);
  lstrcatW(path, L"\\");
  lstrcatW(path, name);
  return _wfopen(path, mode);
}

static void limit(HANDLE job, DWORD flags) {
  JOBOBJECT_EXTENDED_LIMIT_INFORMATION info = {0};
  info.BasicLimitInformation.LimitFlags = flags;
  SetInformationJobObject(job, JobObjectExtendedLimitInformation, &info, sizeof info);
}

static DWORD run(void) {
  STARTUPINFOW si = {.cb = sizeof si, .dwFlags = STARTF_USESTDHANDLES};
  PROCESS_INFORMATION pi;
  DWORD rc = 0;
  HANDLE job = CreateJobObjectW(NULL, NULL);

  limit(job, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_BREAKAWAY_OK);
  si.hStdInput = GetStdHandle(STD_INPUT_HANDLE);
  si.hStdOutput = GetStdHandle(STD_OUTPUT_HANDLE);
  si.hStdError = GetStdHandle(STD_ERROR_HANDLE);
  if (!CreateProcessW(NULL, line, NULL, NULL, TRUE, CREATE_NO_WINDOW | CREATE_SUSPENDED, NULL, NULL, &si, &pi))
    return GetLastError();
  AssignProcessToJobObject(job, pi.hProcess);
  ResumeThread(pi.hThread);
  WaitForSingleObject(pi.hProcess, INFINITE);
  GetExitCodeProcess(pi.hProcess, &rc);
  limit(job, JOB_OBJECT_LIMIT_BREAKAWAY_OK);
  return rc;
}

int wmain(int argc, wchar_t **argv) {
  FILE *f;
  size_t n;
  DWORD rc;

  if (argc != 2 || !(f = in_folder(argv[1], L"line", L"rb"))) return 2;
  n = fread(bytes, 1, sizeof bytes - 1, f);
  fclose(f);
  if (n && !MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, bytes, (int)n, line, LONGEST)) return 2;
  rc = run();
  if (!(f = in_folder(argv[1], L"rc", L"w"))) return 3;
  fprintf(f, "%lu", rc);
  fclose(f);
  return 0;
}
