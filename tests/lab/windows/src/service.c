/* SPDX-License-Identifier: GPL-3.0-or-later
   A harmless Windows service: it starts, waits, and stops when it is told to. Argument: the service's name.
   Test fixture, not Kaspersky software. */
#include <windows.h>

static wchar_t name[256] = L"fixture";
static SERVICE_STATUS status = {.dwServiceType = SERVICE_WIN32_OWN_PROCESS};
static SERVICE_STATUS_HANDLE handle;
static HANDLE ended;

static void report(DWORD state, DWORD accepted) {
  status.dwCurrentState = state;
  status.dwControlsAccepted = accepted;
  SetServiceStatus(handle, &status);
}

static DWORD WINAPI control(DWORD code, DWORD type, LPVOID data, LPVOID context) {
  (void)type, (void)data, (void)context;
  if (code == SERVICE_CONTROL_STOP || code == SERVICE_CONTROL_SHUTDOWN) {
    report(SERVICE_STOP_PENDING, 0);
    SetEvent(ended);
  } else {
    report(status.dwCurrentState, status.dwControlsAccepted);
  }
  return NO_ERROR;
}

static VOID WINAPI service_main(DWORD argc, LPWSTR *argv) {
  (void)argc, (void)argv;
  handle = RegisterServiceCtrlHandlerExW(name, control, NULL);
  ended = CreateEventW(NULL, TRUE, FALSE, NULL);
  report(SERVICE_RUNNING, SERVICE_ACCEPT_STOP | SERVICE_ACCEPT_SHUTDOWN);
  WaitForSingleObject(ended, INFINITE);
  report(SERVICE_STOPPED, 0);
}

int wmain(int argc, wchar_t **argv) {
  SERVICE_TABLE_ENTRYW table[] = {{name, service_main}, {NULL, NULL}};
  if (argc > 1) lstrcpynW(name, argv[1], 256);
  return StartServiceCtrlDispatcherW(table) ? 0 : (int)GetLastError();
}
