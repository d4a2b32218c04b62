// SPDX-License-Identifier: GPL-3.0-or-later
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

// Private to this collection; may change without notice.
// What .NET cannot say about processes: the image of one that does not let itself be opened. Read-only calls. And JSON
// in plain ASCII, which is too slow in PowerShell. C# 5.

using System;
using System.Runtime.InteropServices;
using System.Text;

namespace ansible_collections.evict.kaspersky.plugins.module_utils._ObserveNative
{
    internal static class NativeMethods
    {
        [StructLayout(LayoutKind.Sequential)]
        internal struct UnicodeString
        {
            internal ushort Length;
            internal ushort MaximumLength;
            internal IntPtr Buffer;
        }

        [StructLayout(LayoutKind.Sequential)]
        internal struct SystemProcessIdInformation
        {
            internal IntPtr ProcessId;
            internal UnicodeString ImageName;
        }

        [DllImport("kernel32.dll", SetLastError = true)]
        internal static extern IntPtr OpenProcess(
            uint desiredAccess,
            [MarshalAs(UnmanagedType.Bool)] bool inheritHandle,
            uint processId);

        [DllImport("kernel32.dll", SetLastError = true)]
        [return: MarshalAs(UnmanagedType.Bool)]
        internal static extern bool CloseHandle(IntPtr handle);

        [DllImport("kernel32.dll", CharSet = CharSet.Unicode, SetLastError = true)]
        [return: MarshalAs(UnmanagedType.Bool)]
        internal static extern bool QueryFullProcessImageNameW(
            IntPtr process,
            uint flags,
            StringBuilder name,
            ref uint size);

        [DllImport("kernel32.dll", CharSet = CharSet.Unicode, SetLastError = true)]
        internal static extern uint QueryDosDeviceW(
            string deviceName,
            StringBuilder targetPath,
            uint size);

        [DllImport("ntdll.dll")]
        internal static extern int NtQuerySystemInformation(
            int informationClass,
            ref SystemProcessIdInformation information,
            int length,
            IntPtr returnLength);
    }

    public static class Json
    {
        // Outside of ASCII a JSON text has characters of strings only, so each may be written as an escape.
        public static string ToAscii(string text)
        {
            StringBuilder ascii = new StringBuilder(text.Length + 64);
            foreach (char character in text)
            {
                if (character < 0x7F)
                    ascii.Append(character);
                else
                    ascii.Append("\\u").Append(((int)character).ToString("x4"));
            }
            return ascii.ToString();
        }
    }

    public static class ProcessImage
    {
        private const uint QueryLimitedInformation = 0x1000;
        private const int ProcessIdInformation = 88;
        private const int LongestName = 32767;

        // The image path through a handle that even protected processes grant to an administrator; empty when refused.
        public static string FromHandle(int processId)
        {
            IntPtr process = NativeMethods.OpenProcess(QueryLimitedInformation, false, unchecked((uint)processId));
            if (process == IntPtr.Zero)
                return "";
            try
            {
                uint size = LongestName;
                StringBuilder name = new StringBuilder(LongestName + 1);
                return NativeMethods.QueryFullProcessImageNameW(process, 0, name, ref size) ? name.ToString() : "";
            }
            finally
            {
                NativeMethods.CloseHandle(process);
            }
        }

        // The image path without a handle, as a path with a drive letter when there is one; empty when there is none.
        public static string FromSystem(int processId)
        {
            NativeMethods.SystemProcessIdInformation information = new NativeMethods.SystemProcessIdInformation();
            information.ProcessId = new IntPtr(processId);
            information.ImageName.MaximumLength = 65534;
            information.ImageName.Buffer = Marshal.AllocHGlobal(65536);
            try
            {
                int status = NativeMethods.NtQuerySystemInformation(
                    ProcessIdInformation, ref information, Marshal.SizeOf(typeof(NativeMethods.SystemProcessIdInformation)), IntPtr.Zero);
                if (status < 0 || information.ImageName.Length == 0)
                    return "";
                return ToDosPath(Marshal.PtrToStringUni(information.ImageName.Buffer, information.ImageName.Length / 2));
            }
            finally
            {
                Marshal.FreeHGlobal(information.ImageName.Buffer);
            }
        }

        // \??\C:\x and \Device\HarddiskVolume3\x -> C:\x; any other path as it is.
        public static string ToDosPath(string path)
        {
            if (path.StartsWith("\\??\\", StringComparison.Ordinal))
                return path.Substring(4);
            if (!path.StartsWith("\\Device\\", StringComparison.OrdinalIgnoreCase))
                return path;
            for (char letter = 'A'; letter <= 'Z'; letter++)
            {
                StringBuilder target = new StringBuilder(1024);
                string drive = letter + ":";
                if (NativeMethods.QueryDosDeviceW(drive, target, 1024) == 0)
                    continue;
                string device = target.ToString() + "\\";
                if (device.Length > 1 && path.StartsWith(device, StringComparison.OrdinalIgnoreCase))
                    return drive + "\\" + path.Substring(device.Length);
            }
            return path;
        }
    }
}
