// SPDX-License-Identifier: GPL-3.0-or-later
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

// Private to this collection; may change without notice.
// What .NET cannot say of a host before an act: its memory without CIM, and who holds a mutex without taking it. Read-only
// calls. C# 5.

using System;
using System.ComponentModel;
using System.Runtime.InteropServices;

namespace ansible_collections.evict.kaspersky.plugins.module_utils._ObservePreflight
{
    internal static class NativeMethods
    {
        [StructLayout(LayoutKind.Sequential)]
        internal struct MemoryStatus
        {
            internal uint Length;
            internal uint Load;
            internal ulong Total;
            internal ulong Available;
            internal ulong TotalPage;
            internal ulong AvailablePage;
            internal ulong TotalVirtual;
            internal ulong AvailableVirtual;
            internal ulong AvailableExtended;
        }

        [StructLayout(LayoutKind.Sequential)]
        internal struct MutantInformation
        {
            internal int Count;
            internal byte OwnedByCaller;
            internal byte Abandoned;
        }

        [DllImport("kernel32.dll", SetLastError = true)]
        [return: MarshalAs(UnmanagedType.Bool)]
        internal static extern bool GlobalMemoryStatusEx(ref MemoryStatus status);

        [DllImport("kernel32.dll", CharSet = CharSet.Unicode, SetLastError = true)]
        internal static extern IntPtr OpenMutexW(
            uint desiredAccess,
            [MarshalAs(UnmanagedType.Bool)] bool inheritHandle,
            string name);

        [DllImport("kernel32.dll", SetLastError = true)]
        [return: MarshalAs(UnmanagedType.Bool)]
        internal static extern bool CloseHandle(IntPtr handle);

        [DllImport("ntdll.dll")]
        internal static extern int NtQueryMutant(
            IntPtr mutant,
            int informationClass,
            ref MutantInformation information,
            int length,
            IntPtr returnLength);
    }

    public static class Memory
    {
        // Bytes of memory: all and available. Throws what the call fails with.
        public static ulong[] Bytes()
        {
            NativeMethods.MemoryStatus status = new NativeMethods.MemoryStatus();
            status.Length = (uint)Marshal.SizeOf(typeof(NativeMethods.MemoryStatus));
            if (!NativeMethods.GlobalMemoryStatusEx(ref status))
                throw new Win32Exception();
            return new ulong[] { status.Total, status.Available };
        }
    }

    public static class Mutex
    {
        private const uint QueryState = 0x0001;
        private const int NotFound = 2;

        // "none", "free" or "held". Waiting for it would take it, and an installer that starts would find it taken.
        public static string State(string name)
        {
            IntPtr mutex = NativeMethods.OpenMutexW(QueryState, false, name);
            if (mutex == IntPtr.Zero)
            {
                int error = Marshal.GetLastWin32Error();
                if (error == NotFound)
                    return "none";
                throw new Win32Exception(error);
            }
            try
            {
                NativeMethods.MutantInformation information = new NativeMethods.MutantInformation();
                int size = Marshal.SizeOf(typeof(NativeMethods.MutantInformation));
                int status = NativeMethods.NtQueryMutant(mutex, 0, ref information, size, IntPtr.Zero);
                if (status < 0)
                    throw new InvalidOperationException("NtQueryMutant answered 0x" + status.ToString("x8"));
                return information.Count > 0 ? "free" : "held";
            }
            finally
            {
                NativeMethods.CloseHandle(mutex);
            }
        }
    }
}
