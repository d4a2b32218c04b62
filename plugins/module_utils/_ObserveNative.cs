// SPDX-License-Identifier: GPL-3.0-or-later
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

// Private to this collection; may change without notice.
// What .NET cannot say: the image of a process that does not let itself be opened, the loaded minifilters, the sessions.
// Read-only calls. And JSON in plain ASCII, which is too slow in PowerShell. C# 5.

using System;
using System.Collections.Generic;
using System.ComponentModel;
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

        [DllImport("fltlib.dll")]
        internal static extern int FilterFindFirst(
            int informationClass,
            IntPtr buffer,
            uint size,
            out uint returned,
            out IntPtr find);

        [DllImport("fltlib.dll")]
        internal static extern int FilterFindNext(
            IntPtr find,
            int informationClass,
            IntPtr buffer,
            uint size,
            out uint returned);

        [DllImport("fltlib.dll")]
        internal static extern int FilterFindClose(IntPtr find);

        [StructLayout(LayoutKind.Sequential)]
        internal struct SessionInformation
        {
            internal uint Id;
            internal IntPtr Station;
            internal int State;
        }

        [DllImport("wtsapi32.dll", SetLastError = true)]
        [return: MarshalAs(UnmanagedType.Bool)]
        internal static extern bool WTSEnumerateSessionsW(
            IntPtr server,
            uint reserved,
            uint version,
            out IntPtr sessions,
            out uint count);

        [DllImport("wtsapi32.dll", SetLastError = true)]
        [return: MarshalAs(UnmanagedType.Bool)]
        internal static extern bool WTSQuerySessionInformationW(
            IntPtr server,
            uint session,
            int what,
            out IntPtr buffer,
            out uint size);

        [DllImport("wtsapi32.dll")]
        internal static extern void WTSFreeMemory(IntPtr memory);
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

    public static class FilterManager
    {
        private const int AggregateInformation = 2;
        private const int NoMoreItems = unchecked((int)0x80070103);
        private const int BufferSize = 65536;
        private const int MostFilters = 1000;

        // Name -> altitude of what is loaded. Throws what the call fails with, or that there is no such library.
        public static Dictionary<string, string> Loaded()
        {
            Dictionary<string, string> found = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
            IntPtr buffer = Marshal.AllocHGlobal(BufferSize);
            try
            {
                uint returned;
                IntPtr find;
                int result = NativeMethods.FilterFindFirst(AggregateInformation, buffer, BufferSize, out returned, out find);
                if (result == NoMoreItems)
                    return found;
                if (result < 0)
                    throw new Win32Exception(result);
                try
                {
                    for (int number = 0; number < MostFilters && result >= 0; number++)
                    {
                        Add(found, buffer);
                        result = NativeMethods.FilterFindNext(find, AggregateInformation, buffer, BufferSize, out returned);
                    }
                    if (result < 0 && result != NoMoreItems)
                        throw new Win32Exception(result);
                }
                finally
                {
                    NativeMethods.FilterFindClose(find);
                }
            }
            finally
            {
                Marshal.FreeHGlobal(buffer);
            }
            return found;
        }

        // FILTER_AGGREGATE_STANDARD_INFORMATION: a minifilter's name and altitude stand 8 bytes behind a legacy filter's.
        private static void Add(Dictionary<string, string> found, IntPtr record)
        {
            int place = Marshal.ReadInt32(record, 4) == 1 ? 20 : 12;
            found[Text(record, place)] = Text(record, place + 4);
        }

        private static string Text(IntPtr record, int place)
        {
            int length = (ushort)Marshal.ReadInt16(record, place);
            int start = (ushort)Marshal.ReadInt16(record, place + 2);
            if (start + length > BufferSize)
                return "";
            return Marshal.PtrToStringUni(new IntPtr(record.ToInt64() + start), length / 2);
        }
    }

    public static class Sessions
    {
        private const int UserName = 5;
        private const int DomainName = 7;
        private const int ClientProtocol = 16;
        private static readonly Dictionary<int, string> States = new Dictionary<int, string>
        {
            { 0, "active" },
            { 4, "disconnected" },
        };

        // Of each session with a user: user, state and kind. Throws what the call fails with.
        public static List<string[]> Users()
        {
            IntPtr first;
            uint count;
            if (!NativeMethods.WTSEnumerateSessionsW(IntPtr.Zero, 0, 1, out first, out count))
                throw new Win32Exception();
            List<string[]> found = new List<string[]>();
            try
            {
                int size = Marshal.SizeOf(typeof(NativeMethods.SessionInformation));
                for (long number = 0; number < count; number++)
                {
                    NativeMethods.SessionInformation one = (NativeMethods.SessionInformation)Marshal.PtrToStructure(
                        new IntPtr(first.ToInt64() + number * size), typeof(NativeMethods.SessionInformation));
                    string user = Text(one.Id, UserName);
                    if (user.Length == 0 || !States.ContainsKey(one.State))
                        continue;
                    string domain = Text(one.Id, DomainName);
                    string kind = Number(one.Id, ClientProtocol) == 0 ? "console" : "remote";
                    found.Add(new string[] { domain.Length == 0 ? user : domain + "\\" + user, States[one.State], kind });
                }
            }
            finally
            {
                NativeMethods.WTSFreeMemory(first);
            }
            return found;
        }

        private static string Text(uint session, int what)
        {
            IntPtr buffer;
            uint size;
            if (!NativeMethods.WTSQuerySessionInformationW(IntPtr.Zero, session, what, out buffer, out size))
                return "";
            string text = Marshal.PtrToStringUni(buffer) ?? "";
            NativeMethods.WTSFreeMemory(buffer);
            return text;
        }

        private static int Number(uint session, int what)
        {
            IntPtr buffer;
            uint size;
            if (!NativeMethods.WTSQuerySessionInformationW(IntPtr.Zero, session, what, out buffer, out size))
                return 0;
            int number = size >= 2 ? Marshal.ReadInt16(buffer) : 0;
            NativeMethods.WTSFreeMemory(buffer);
            return number;
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
