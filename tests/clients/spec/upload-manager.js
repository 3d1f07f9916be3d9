class UploadManager {
    constructor() {
        this.ws = new WebSocket('wss://api.dysonnetwork.com/ws');
        this.tasks = new Map();
    }

    async uploadFile(file, poolId) {
        // 1. Create upload task
        const taskResponse = await fetch('/api/files/upload/create', {
            method: 'POST',
            headers: { 'Content-Type': 'application/json' },
            body: JSON.stringify({
                fileName: file.name,
                fileSize: file.size,
                contentType: file.type,
                poolId: poolId,
                hash: await this.calculateHash(file)
            })
        });

        const task = await taskResponse.json();
        if (task.fileExists) {
            return task.file; // File already exists
        }

        // 2. Upload chunks
        const chunks = this.splitFileIntoChunks(file, task.chunkSize);
        for (let i = 0; i < chunks.length; i++) {
            await this.uploadChunk(task.taskId, i, chunks[i]);
        }

        // 3. Complete upload
        const result = await fetch(`/api/files/upload/complete/${task.taskId}`, {
            method: 'POST'
        });

        return await result.json();
    }

    async uploadChunk(taskId, chunkIndex, chunkData) {
        const formData = new FormData();
        formData.append('chunk', chunkData);

        const response = await fetch(`/api/files/upload/chunk/${taskId}/${chunkIndex}`, {
            method: 'POST',
            body: formData
        });

        if (response.status === 409) {
            // Chunk already uploaded, skip
            return;
        }

        if (!response.ok) {
            throw new Error(`Upload failed: ${response.statusText}`);
        }
    }

    splitFileIntoChunks(file, chunkSize) {
        const chunks = [];
        for (let offset = 0; offset < file.size; offset += chunkSize) {
            chunks.push(file.slice(offset, offset + chunkSize));
        }
        return chunks;
    }

    async calculateHash(file) {
        // Implement file hashing (SHA-256 recommended)
        const buffer = await file.arrayBuffer();
        const hashBuffer = await crypto.subtle.digest('SHA-256', buffer);
        return Array.from(new Uint8Array(hashBuffer))
            .map(b => b.toString(16).padStart(2, '0'))
            .join('');
    }
}
