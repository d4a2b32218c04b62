// SPDX-License-Identifier: GPL-3.0-or-later

// Private to this collection; may change without notice.
// Which of many texts occur in a registry hive's file, without loading it. A key name lies in the file as one byte a
// character (Latin-1) or as UTF-16LE, the data of a text value as UTF-16LE, a name inside a certificate as UTF-8 or
// UTF-16BE; each in one piece but for data above 16,344 bytes. So a text that is nowhere in the bytes is in no name and no
// data. One that is there may be what a deleted key left. The file is read once, from start to end. C# 5.

using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace ansible_collections.evict.kaspersky.plugins.module_utils._ObserveHive
{
    internal static class NativeMethods
    {
        [StructLayout(LayoutKind.Sequential)]
        internal struct TokenPrivilege
        {
            internal uint Count;
            internal uint LuidLow;
            internal int LuidHigh;
            internal uint Attributes;
        }

        [DllImport("kernel32.dll", CharSet = CharSet.Unicode, SetLastError = true)]
        internal static extern SafeFileHandle CreateFileW(
            string name,
            uint access,
            uint share,
            IntPtr security,
            uint disposition,
            uint flags,
            IntPtr template);

        [DllImport("kernel32.dll")]
        internal static extern IntPtr GetCurrentProcess();

        [DllImport("kernel32.dll", SetLastError = true)]
        [return: MarshalAs(UnmanagedType.Bool)]
        internal static extern bool CloseHandle(IntPtr handle);

        [DllImport("advapi32.dll", SetLastError = true)]
        [return: MarshalAs(UnmanagedType.Bool)]
        internal static extern bool OpenProcessToken(IntPtr process, uint access, out IntPtr token);

        [DllImport("advapi32.dll", CharSet = CharSet.Unicode, SetLastError = true)]
        [return: MarshalAs(UnmanagedType.Bool)]
        internal static extern bool LookupPrivilegeValueW(string system, string name, out long luid);

        [DllImport("advapi32.dll", SetLastError = true)]
        [return: MarshalAs(UnmanagedType.Bool)]
        internal static extern bool AdjustTokenPrivileges(
            IntPtr token,
            [MarshalAs(UnmanagedType.Bool)] bool disableAll,
            ref TokenPrivilege wanted,
            uint size,
            out TokenPrivilege before,
            out uint needed);
    }

    // All texts as one automaton over 16-bit units that are compared without regard to case.
    internal sealed class Automaton
    {
        private readonly ushort[] classOf = new ushort[65536];
        private readonly int[] rows;
        private readonly int[][] ends;
        private readonly int firstHit;
        private readonly int classes = 1;

        internal Automaton(string[] texts)
        {
            foreach (string text in texts)
            {
                foreach (char unit in text)
                {
                    char lower = char.ToLowerInvariant(unit);
                    if (classOf[lower] == 0)
                        classOf[lower] = (ushort)classes++;
                }
            }
            for (int unit = 0; unit < 65536; unit++)
                classOf[unit] = classOf[char.ToLowerInvariant((char)unit)];
            int most = 1;
            foreach (string text in texts)
                most += text.Length;
            int[] next = new int[most * classes];
            int[] fallback = new int[most];
            List<int>[] found = new List<int>[most];
            int states = 1;
            for (int number = 0; number < texts.Length; number++)
            {
                int state = 0;
                foreach (char unit in texts[number])
                {
                    int slot = state * classes + classOf[unit];
                    if (next[slot] == 0)
                        next[slot] = states++;
                    state = next[slot];
                }
                if (found[state] == null)
                    found[state] = new List<int>();
                found[state].Add(number);
            }
            Queue<int> queue = new Queue<int>();
            for (int which = 1; which < classes; which++)
            {
                if (next[which] != 0)
                    queue.Enqueue(next[which]);
            }
            while (queue.Count > 0)
            {
                int state = queue.Dequeue();
                int shorter = fallback[state];
                if (found[shorter] != null)
                {
                    if (found[state] == null)
                        found[state] = new List<int>();
                    found[state].AddRange(found[shorter]);
                }
                for (int which = 1; which < classes; which++)
                {
                    int child = next[state * classes + which];
                    int other = next[shorter * classes + which];
                    if (child == 0)
                    {
                        next[state * classes + which] = other;
                    }
                    else
                    {
                        fallback[child] = other;
                        queue.Enqueue(child);
                    }
                }
            }
            // States that end a text get the highest numbers, and each number is the place of the state's row: one
            // comparison then tells a hit, one addition finds the next state.
            int[] row = new int[states];
            int plain = 0;
            for (int state = 0; state < states; state++)
            {
                if (found[state] == null)
                    row[state] = classes * plain++;
            }
            firstHit = classes * plain;
            ends = new int[states - plain][];
            for (int state = 0; state < states; state++)
            {
                if (found[state] == null)
                    continue;
                ends[plain - firstHit / classes] = found[state].ToArray();
                row[state] = classes * plain++;
            }
            rows = new int[states * classes];
            for (int state = 0; state < states; state++)
            {
                for (int which = 0; which < classes; which++)
                    rows[row[state] + which] = row[next[state * classes + which]];
            }
        }

        internal int Step(int state, int unit, bool[] hits)
        {
            state = rows[state + classOf[unit]];
            if (state >= firstHit)
            {
                foreach (int number in ends[(state - firstHit) / classes])
                    hits[number] = true;
            }
            return state;
        }
    }

    public static class HiveFile
    {
        private const int Chunk = 1 << 20;
        private const uint GenericRead = 0x80000000;
        private const uint ShareAll = 7;
        private const uint OpenExisting = 3;
        private const uint BackupSemantics = 0x02000000;
        private const uint SequentialScan = 0x08000000;
        private const uint AdjustAndQuery = 0x28;
        private const uint PrivilegeEnabled = 2;

        // The texts that occur in the file. `isHive`: the file must begin as a hive does (its logs do not).
        // Throws what opening and reading throw, InvalidDataException and TimeoutException.
        public static string[] Find(string path, string[] texts, bool isHive, int milliseconds)
        {
            Stopwatch watch = Stopwatch.StartNew();
            bool[] hits = new bool[texts.Length];
            using (Stream stream = Open(path))
            {
                Scan(stream, new Automaton(texts), hits, isHive, watch, milliseconds);
            }
            List<string> found = new List<string>();
            for (int number = 0; number < texts.Length; number++)
            {
                if (hits[number])
                    found.Add(texts[number]);
            }
            return found.ToArray();
        }

        private static void Scan(Stream stream, Automaton automaton, bool[] hits, bool isHive, Stopwatch watch, int milliseconds)
        {
            byte[] buffer = new byte[Chunk];
            int plain = 0, little = 0, bigEven = 0, bigOdd = 0, utf8 = 0;
            int before = 0, pending = 0, wanted = 0;
            bool first = true;
            while (true)
            {
                int count = Fill(stream, buffer);
                if (first && isHive && (count < 4096 || buffer[0] != 'r' || buffer[1] != 'e' || buffer[2] != 'g' || buffer[3] != 'f'))
                    throw new InvalidDataException("not a registry hive");
                first = false;
                // A chunk has an even number of bytes, so an even place in it is an even place in the file.
                for (int place = 0; place < count; place++)
                {
                    int value = buffer[place];
                    plain = automaton.Step(plain, value, hits);
                    int big = (before << 8) | value;
                    if ((place & 1) == 1)
                    {
                        little = automaton.Step(little, before | (value << 8), hits);
                        bigEven = automaton.Step(bigEven, big, hits);
                    }
                    else
                    {
                        bigOdd = automaton.Step(bigOdd, big, hits);
                    }
                    before = value;
                    if (value < 0x80)
                    {
                        wanted = 0;
                        utf8 = automaton.Step(utf8, value, hits);
                    }
                    else if (value >= 0xC0)
                    {
                        wanted = value >= 0xE0 ? 2 : 1;
                        pending = value & (value >= 0xE0 ? 0x0F : 0x1F);
                    }
                    else if (wanted > 0)
                    {
                        pending = (pending << 6) | (value & 0x3F);
                        if (--wanted == 0)
                            utf8 = automaton.Step(utf8, pending & 0xFFFF, hits);
                    }
                }
                if (count < buffer.Length)
                    return;
                if (watch.ElapsedMilliseconds > milliseconds)
                    throw new TimeoutException("reading it took too long");
            }
        }

        private static int Fill(Stream stream, byte[] buffer)
        {
            int count = 0;
            while (count < buffer.Length)
            {
                int more = stream.Read(buffer, count, buffer.Length - count);
                if (more == 0)
                    break;
                count += more;
            }
            return count;
        }

        private static Stream Open(string path)
        {
            try
            {
                return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 4096, FileOptions.SequentialScan);
            }
            catch (UnauthorizedAccessException)
            {
                Stream stream = OpenAsBackup(path);
                if (stream == null)
                    throw;
                return stream;
            }
        }

        // The right of a backup program to read every file, switched on for the moment of opening; null when it is refused.
        private static Stream OpenAsBackup(string path)
        {
            IntPtr token;
            if (!NativeMethods.OpenProcessToken(NativeMethods.GetCurrentProcess(), AdjustAndQuery, out token))
                return null;
            try
            {
                long luid;
                if (!NativeMethods.LookupPrivilegeValueW(null, "SeBackupPrivilege", out luid))
                    return null;
                NativeMethods.TokenPrivilege wanted = new NativeMethods.TokenPrivilege();
                wanted.Count = 1;
                wanted.LuidLow = unchecked((uint)luid);
                wanted.LuidHigh = (int)(luid >> 32);
                wanted.Attributes = PrivilegeEnabled;
                NativeMethods.TokenPrivilege earlier, dummy;
                uint size = (uint)Marshal.SizeOf(typeof(NativeMethods.TokenPrivilege)), needed;
                if (!NativeMethods.AdjustTokenPrivileges(token, false, ref wanted, size, out earlier, out needed))
                    return null;
                try
                {
                    SafeFileHandle handle = NativeMethods.CreateFileW(
                        path, GenericRead, ShareAll, IntPtr.Zero, OpenExisting, BackupSemantics | SequentialScan, IntPtr.Zero);
                    if (handle.IsInvalid)
                    {
                        handle.Dispose();
                        return null;
                    }
                    return new FileStream(handle, FileAccess.Read, 4096);
                }
                finally
                {
                    if (earlier.Count == 1)
                        NativeMethods.AdjustTokenPrivileges(token, false, ref earlier, size, out dummy, out needed);
                }
            }
            finally
            {
                NativeMethods.CloseHandle(token);
            }
        }
    }
}
